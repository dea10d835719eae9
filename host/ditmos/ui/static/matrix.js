// Classes against what they are taken for: a cell with windows is a button, its shade is the share of its row.
export default {
  template: `<div class="matrix"><table>
    <caption class="hidden-text">{{ label }}</caption>
    <thead><tr><th scope="col">class</th><th v-for="name in columns" :key="name" scope="col"><span :title="name">{{ name }}</span></th></tr></thead>
    <tbody><tr v-for="(row, c) in counts" :key="c">
      <th scope="row" :title="names[c]">{{ names[c] }}</th>
      <td v-for="(count, t) in row" :key="t">
        <button v-if="count" :style="shade(row, t, c)" :aria-pressed="picked === c + ':' + t"
          :aria-label="names[c] + (t === c ? ', right: ' : ' taken for ' + columns[t] + ': ') + count"
          @click="pick(c, t)">{{ count }}</button>
      </td>
    </tr></tbody>
  </table></div>`,
  props: { label: String, names: Array, counts: Array },
  data: () => ({ picked: "" }),
  computed: { columns() { return [...this.names, "no answer"]; } },
  watch: { counts() { this.picked = ""; } },
  methods: {
    shade(row, t, c) {
      const share = row[t] / row.reduce((sum, n) => sum + n, 0);
      return { background: `color-mix(in srgb, var(${t === c ? "--good" : "--bad"}) ${Math.round(10 + 30 * share)}%, transparent)` };
    },
    pick(c, t) {
      this.picked = `${c}:${t}`;
      this.$emit("pick", { c, t });
    },
  },
};
