// An editor of policies: completion of the contract (names of a model and of routing.py), and light or dark with the page.
(id, words) => {
  import("nicegui-codemirror").then((CM) => {
    const editor = getElement(id).editor;
    const complete = (context) => {
      const word = context.matchBefore(/(?:model|routing)\.\w*|\w+/);
      if (!word || (word.from === word.to && !context.explicit)) return null;
      const dot = word.text.indexOf("."), owner = dot < 0 ? "" : word.text.slice(0, dot);
      const options = words.filter((w) => w.owner === owner);
      return options.length ? { from: word.from + dot + 1, options, validFor: /^\w*$/ } : null;
    };
    const data = CM.EditorState.languageData.of(() => [{ autocomplete: complete }]);
    editor.dispatch({ effects: CM.StateEffect.appendConfig.of(data) });
    const theme = () => getElement(id).setTheme(document.body.classList.contains("body--dark") ? "githubDark" : "githubLight");
    new MutationObserver(theme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    theme();
    editor.scrollDOM.setAttribute("tabindex", "0"); // what scrolls is reached by the keyboard
    editor.contentDOM.setAttribute("aria-label", "Policy, Python. Escape, then Tab leaves the editor");
  });
}
