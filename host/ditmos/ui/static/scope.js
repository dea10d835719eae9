// A signal and the answers to it, over time. Python sends extremes of bins and answers (plots.py); this draws them.
const GUTTER = 88, RIBBON = 24, LABEL = 20, TRUTH = 14, SURE = 34, AXIS = 20, GAP = 8, SPECTRUM = 120;

const decode = (text, kind) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new { f: Float32Array, b: Uint8Array }[kind](bytes.buffer);
};
const dark = (colour) => {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b < 140;
};
const clock = (seconds, fine) => {
  const s = Math.max(0, seconds);
  const rest = (s % 60).toFixed(fine ? 1 : 0).padStart(fine ? 4 : 2, "0");
  return `${Math.floor(s / 60)}:${rest}`;
};
// Dark blue to yellow in even steps of lightness; colour-blind people see the same order.
const HEAT = [[0, 32, 77], [44, 61, 109], [92, 93, 110], [132, 126, 118], [178, 164, 104], [222, 204, 80], [255, 234, 70]];
const heat = (value) => {
  const at = (value / 255) * (HEAT.length - 1), i = Math.min(HEAT.length - 2, Math.floor(at));
  return HEAT[i].map((c, k) => Math.round(c + (HEAT[i + 1][k] - c) * (at - i)));
};

export default {
  template: `<div class="scope" role="application" tabindex="0" :aria-label="label" @keydown="key"
      @pointerdown="grab" @pointermove="hover" @pointerup="release" @pointerleave="leave">
    <canvas ref="canvas" aria-hidden="true"></canvas>
    <div class="scope-tip" ref="tip" aria-hidden="true"></div>
  </div>`,
  props: { label: String, setup: Object },
  created() {
    // Not reactive: thousands of values that only the canvas reads.
    Object.assign(this, { bins: new Map(), spectrum: new Map(), answers: [], cursor: null, picked: null, drag: null });
    this.view = { start: 0, stop: 1, step: 1 };
  },
  mounted() {
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(this.$el);
    this.themes = new MutationObserver(() => this.draw());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  },
  unmounted() { this.sizes.disconnect(); this.themes.disconnect(); },
  watch: { setup() { this.clear(); this.resized(); } },
  methods: {
    clear() {
      this.bins.clear(); this.spectrum.clear(); this.answers = [];
    },
    resized() {
      const width = this.$el.clientWidth;
      if (!width) return;
      if (width !== this.width) this.$emit("view", { width });
      this.width = width;
      this.draw();
    },
    height() {
      const { names, classes, sound, truth } = this.setup;
      const lanes = names.length * this.lane();
      const answers = classes.length ? RIBBON + LABEL + SURE + 3 * GAP + (truth ? TRUTH + GAP : 0) : 0;
      return GAP + lanes + (sound ? SPECTRUM + GAP : 0) + answers + AXIS;
    },
    lane() {
      const n = this.setup.names.length;
      return n <= 3 ? 84 : n <= 8 ? 44 : n <= 24 ? 20 : 9;
    },
    show(news) {
      if (news.reset) this.clear();
      this.view = news.view;
      const n = this.setup.names.length;
      if (news.low) {
        const low = decode(news.low, "f"), high = decode(news.high, "f");
        for (let i = 0; i * n < low.length; i++)
          this.bins.set(news.first + i, [low.subarray(i * n, i * n + n), high.subarray(i * n, i * n + n)]);
      }
      if (news.spectrum) {
        const values = decode(news.spectrum, "b"), rows = news.bands;
        for (let i = 0; i * rows < values.length; i++)
          this.spectrum.set(news.firstSpectrum + i, values.subarray(i * rows, i * rows + rows));
      }
      const known = this.answers.length ? this.answers[this.answers.length - 1].number : -1;
      for (const [number, stop, label, who, sure, truth, event] of news.answers)
        if (number > known) this.answers.push({ number, stop, label, who, sure, truth, event });
      const first = Math.floor(this.view.start / this.view.step) - 2;
      for (const at of this.bins.keys()) if (at < first) this.bins.delete(at); else break;
      for (const at of this.spectrum.keys()) if (at < first) this.spectrum.delete(at); else break;
      const old = this.answers.findIndex((a) => a.stop >= this.view.start);
      if (old > 0) this.answers.splice(0, old);
      this.draw();
    },
    x(row) {
      const { start, stop } = this.view;
      return GUTTER + ((row - start) / (stop - start)) * (this.width - GUTTER - 1);
    },
    row(x) {
      const { start, stop } = this.view;
      return start + ((x - GUTTER) / (this.width - GUTTER - 1)) * (stop - start);
    },
    draw() {
      const canvas = this.$refs.canvas;
      if (!canvas || !this.width || !this.setup) return;
      const ratio = window.devicePixelRatio || 1, height = this.height();
      if (canvas.width !== this.width * ratio || canvas.height !== height * ratio) {
        canvas.width = this.width * ratio; canvas.height = height * ratio;
        canvas.style.width = `${this.width}px`; canvas.style.height = `${height}px`;
      }
      const g = canvas.getContext("2d"), css = getComputedStyle(this.$el);
      this.ink = css.getPropertyValue("--ink"); this.muted = css.getPropertyValue("--muted");
      this.grid = css.getPropertyValue("--line"); this.trace = css.getPropertyValue("--trace");
      this.block = css.getPropertyValue("--block");
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, this.width, height);
      g.font = "11px Roboto, system-ui, sans-serif"; g.textBaseline = "middle"; g.lineWidth = 1;
      let y = GAP;
      this.axis(g, height);
      for (let c = 0; c < this.setup.names.length; c++) { this.channel(g, c, y); y += this.lane(); }
      if (this.setup.sound) { this.sound(g, y); y += SPECTRUM + GAP; }
      if (this.setup.classes.length) this.decisions(g, y + GAP);
      this.pointer(g, height);
    },
    axis(g, height) {
      const { start, stop } = this.view, { rate } = this.setup;
      const span = (stop - start) / rate, raw = span / Math.max(2, (this.width - GUTTER) / 90);
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((s) => s >= raw) || 1200;
      g.textAlign = "center";
      for (let t = Math.ceil(start / rate / step) * step; t <= stop / rate; t += step) {
        const x = Math.round(this.x(t * rate)) + 0.5;
        g.strokeStyle = this.grid; g.beginPath(); g.moveTo(x, 0); g.lineTo(x, height - AXIS); g.stroke();
        if (t >= 0 && x > GUTTER + 14 && x < this.width - 16) {
          g.fillStyle = this.muted; g.fillText(clock(t, step < 1), x, height - AXIS / 2);
        }
      }
    },
    channel(g, c, top) {
      const tall = this.lane(), pad = tall > 30 ? 8 : 1, { names, units, scales } = this.setup;
      let low = Infinity, high = -Infinity;
      for (const [a, b] of this.bins.values()) { low = Math.min(low, a[c]); high = Math.max(high, b[c]); }
      g.textAlign = "right"; g.fillStyle = this.ink;
      if (tall >= 9) {
        const name = names[c].length > 11 ? names[c].slice(0, 10) + "…" : names[c];
        if (tall < 12) g.font = "8px Roboto, system-ui, sans-serif";
        if (tall > 12 || c % 2 === 0) g.fillText(name, GUTTER - 8, top + tall / 2 - (tall > 30 ? 7 : 0));
        g.font = "11px Roboto, system-ui, sans-serif";
      }
      if (!(low <= high)) return;
      if (tall > 30) {
        const text = (v) => Number((v * scales[c]).toPrecision(2)).toString();
        g.fillStyle = this.muted; g.font = "10px Roboto, system-ui, sans-serif";
        g.fillText(`${text(low)}…${text(high)}`, GUTTER - 8, top + tall / 2 + 7);
        if (units[c]) g.fillText(units[c], GUTTER - 8, top + tall / 2 + 19);
        g.font = "11px Roboto, system-ui, sans-serif";
      }
      const span = high - low || 1, y = (v) => top + tall - pad - ((v - low) / span) * (tall - 2 * pad);
      const { step } = this.view;
      g.strokeStyle = this.trace; g.lineWidth = 1.25; g.beginPath();
      let last = null;
      for (const [at, [a, b]] of this.bins) {
        const x = this.x((at + 0.5) * step);
        if (x < GUTTER) continue;
        if (last !== null && at === last + 1) g.lineTo(x, y(b[c])); else g.moveTo(x, y(b[c]));
        if (a[c] !== b[c]) g.lineTo(x, y(a[c]));
        last = at;
      }
      g.stroke(); g.lineWidth = 1;
    },
    sound(g, top) {
      g.textAlign = "right"; g.fillStyle = this.ink; g.fillText("spectrum", GUTTER - 8, top + SPECTRUM / 2 - 7);
      g.fillStyle = this.muted; g.font = "10px Roboto, system-ui, sans-serif";
      g.fillText(`0…${Number((this.setup.rate / 2000).toPrecision(2))} kHz`, GUTTER - 8, top + SPECTRUM / 2 + 7);
      g.font = "11px Roboto, system-ui, sans-serif";
      const cells = [...this.spectrum.entries()].filter(([at]) => this.x(at * this.view.step) >= GUTTER);
      if (!cells.length) return;
      const rows = cells[0][1].length, first = cells[0][0], count = cells[cells.length - 1][0] - first + 1;
      const image = new ImageData(count, rows);
      for (const [at, values] of cells)
        for (let i = 0; i < rows; i++) {
          const [r, gg, b] = heat(values[rows - 1 - i]), p = 4 * (i * count + at - first);
          image.data.set([r, gg, b, 255], p);
        }
      const sheet = new OffscreenCanvas(count, rows);
      sheet.getContext("2d").putImageData(image, 0, 0);
      const x = this.x(first * this.view.step);
      g.imageSmoothingEnabled = false;
      g.drawImage(sheet, x, top, this.x((first + count) * this.view.step) - x, SPECTRUM);
    },
    strip(g, name, y, tall) {
      g.textAlign = "right"; g.fillStyle = this.muted; g.fillText(name, GUTTER - 8, y + tall / 2);
    },
    block_(g, from, to, y, tall, colour, text, weak) {
      const left = Math.max(GUTTER, from), wide = to - left;
      if (wide <= 0) return;
      g.fillStyle = colour; g.fillRect(left, y, Math.max(1, wide - (wide > 4 ? 1 : 0)), tall);
      if (!text) return;
      g.textAlign = "left";
      g.fillStyle = weak ? this.ink : dark(colour) ? "#ffffff" : "#111111";
      const room = wide - 8;
      if (room > 6 && g.measureText(text).width <= room) g.fillText(text, left + 4, y + tall / 2 + 0.5);
      else if (weak && room > 22) {
        let cut = text;
        while (cut && g.measureText(cut + "…").width > room) cut = cut.slice(0, -1);
        if (cut) g.fillText(cut + "…", left + 4, y + tall / 2 + 0.5);
      }
    },
    runs(key) {
      const found = [];
      for (const a of this.answers) {
        const last = found[found.length - 1];
        if (last && last.value === a[key] && a.number === last.number + 1) { last.stop = a.stop; last.number = a.number; }
        else found.push({ value: a[key], start: a.stop - this.setup.hop, stop: a.stop, number: a.number });
      }
      return found;
    },
    decisions(g, y) {
      const { classes, colours, whos, truth } = this.setup;
      this.strip(g, "classifier", y, RIBBON);
      for (const run of this.runs("who")) {
        const style = colours[run.value] || "#888888";
        this.block_(g, this.x(run.start), this.x(run.stop), y, RIBBON, style, whos[run.value] || String(run.value));
      }
      y += RIBBON + GAP / 2;
      this.strip(g, "label", y, LABEL);
      for (const run of this.runs("label"))
        this.block_(g, this.x(run.start), this.x(run.stop), y, LABEL, this.block, run.value < 0 ? "–" : classes[run.value], true);
      for (const a of this.answers)
        if (a.event >= 0 && this.x(a.stop) > GUTTER) {
          const x = this.x(a.stop);
          g.fillStyle = this.ink; g.beginPath(); g.moveTo(x - 4, y - 4); g.lineTo(x + 4, y - 4); g.lineTo(x, y + 2); g.fill();
        }
      y += LABEL + GAP / 2;
      if (truth) {
        this.strip(g, "truth", y, TRUTH);
        for (const run of this.runs("truth"))
          if (run.value >= 0)
            this.block_(g, this.x(run.start), this.x(run.stop), y, TRUTH, this.block, classes[run.value], true);
        g.fillStyle = this.ink;
        for (const a of this.answers)
          if (a.truth >= 0 && a.truth !== a.label && this.x(a.stop - this.setup.hop) >= GUTTER)
            g.fillRect(this.x(a.stop - this.setup.hop), y + TRUTH + 1, Math.max(1, this.x(a.stop) - this.x(a.stop - this.setup.hop) - 1), 2);
        y += TRUTH + GAP;
      }
      this.strip(g, "confidence", y, SURE);
      g.strokeStyle = this.grid; g.strokeRect(GUTTER + 0.5, Math.round(y) + 0.5, this.width - GUTTER - 2, SURE - 1);
      g.strokeStyle = this.trace; g.lineWidth = 1.5; g.beginPath();
      let open = false;
      for (const a of this.answers) {
        if (a.sure === null || this.x(a.stop - this.setup.hop) < GUTTER) { open = false; continue; }
        const at = y + SURE - 2 - a.sure * (SURE - 4);
        if (open) g.lineTo(this.x(a.stop - this.setup.hop), at); else g.moveTo(this.x(a.stop - this.setup.hop), at);
        g.lineTo(this.x(a.stop), at); open = true;
      }
      g.stroke(); g.lineWidth = 1;
    },
    pointer(g, height) {
      const mark = (row, weight) => {
        const x = this.x(row);
        if (x < GUTTER) return;
        g.strokeStyle = this.ink; g.lineWidth = weight; g.setLineDash(weight > 1 ? [] : [3, 3]);
        g.beginPath(); g.moveTo(x, 0); g.lineTo(x, height - AXIS); g.stroke(); g.setLineDash([]); g.lineWidth = 1;
      };
      if (this.picked !== null) mark(this.picked, 2);
      if (this.cursor !== null) mark(this.cursor, 1);
    },
    at(row) { return this.answers.find((a) => a.stop - this.setup.hop < row && row <= a.stop); },
    words(a) {
      const { classes, names } = this.setup, said = a.label < 0 ? "no answer" : classes[a.label];
      const sure = a.sure === null ? "" : ` ${a.sure.toFixed(2)}`;
      const truth = a.truth >= 0 ? `, it is ${classes[a.truth]}` : "";
      return `window ${a.number}: ${said}${sure} by ${this.setup.names_of_who[a.who] || a.who}${truth}`;
    },
    hover(event) {
      const box = this.$el.getBoundingClientRect(), x = event.clientX - box.left;
      if (this.drag) {
        const moved = this.drag.x - x;
        if (Math.abs(moved) > 3 || this.drag.moved) {
          this.drag.moved = true;
          const rows = (moved / (this.width - GUTTER)) * (this.view.stop - this.view.start);
          this.$emit("view", { stop: Math.round(this.drag.stop + rows) });
        }
        return;
      }
      this.cursor = x > GUTTER ? this.row(x) : null;
      const tip = this.$refs.tip, answer = this.cursor === null ? null : this.at(this.cursor);
      tip.textContent = answer ? this.words(answer) : "";
      tip.style.left = `${Math.min(Math.max(x, 120), this.width - 120)}px`;
      tip.style.display = answer ? "block" : "none";
      this.draw();
    },
    grab(event) {
      if (event.button) return;
      this.drag = { x: event.clientX - this.$el.getBoundingClientRect().left, stop: this.view.stop, moved: false };
    },
    release() {
      const drag = this.drag;
      this.drag = null;
      if (drag && !drag.moved && drag.x > GUTTER) this.pick(this.row(drag.x));
    },
    leave() {
      this.drag = null; this.cursor = null; this.$refs.tip.style.display = "none"; this.draw();
    },
    pick(row) {
      const answer = this.at(row);
      if (!answer) return;
      this.picked = answer.stop - this.setup.hop / 2;
      this.$emit("pick", { number: answer.number });
      this.draw();
    },
    key(event) {
      const { start, stop } = this.view, quarter = Math.round((stop - start) / 4);
      const move = (rows) => this.$emit("view", { stop: stop + rows });
      const answer = (by) => {
        const at = this.answers.findIndex((a) => this.cursor !== null && a === this.at(this.cursor));
        const next = at < 0 ? this.answers.length - 1 : Math.min(this.answers.length - 1, Math.max(0, at + by));
        const found = this.answers[next];
        if (!found) return;
        this.cursor = found.stop - this.setup.hop / 2;
        this.$emit("said", { text: this.words(found) });
        this.draw();
      };
      const keys = {
        ArrowLeft: () => (event.shiftKey ? answer(-1) : move(-quarter)),
        ArrowRight: () => (event.shiftKey ? answer(1) : move(quarter)),
        Home: () => this.$emit("view", { stop: 0 }),
        End: () => this.$emit("view", { follow: true }),
        "+": () => this.$emit("view", { zoom: 0.5 }),
        "=": () => this.$emit("view", { zoom: 0.5 }),
        "-": () => this.$emit("view", { zoom: 2 }),
        " ": () => this.$emit("view", { toggle: true }),
        Enter: () => this.cursor !== null && this.pick(this.cursor),
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    },
  },
};
