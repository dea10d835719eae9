// Maps of int8 as pictures: dark blue is low, yellow is high; each in its own range.
const HEAT = [[0, 32, 77], [44, 61, 109], [92, 93, 110], [132, 126, 118], [178, 164, 104], [222, 204, 80], [255, 234, 70]];

export default {
  template: `<div class="maps"><figure v-for="map in maps" :key="map.name">
    <canvas :ref="map.name" role="img" :aria-label="map.said"></canvas><figcaption>{{ map.name }} <span>{{ map.size }}</span></figcaption>
  </figure></div>`,
  props: { maps: Array },
  mounted() { this.paint(); },
  watch: { maps() { this.$nextTick(() => this.paint()); } },
  methods: {
    paint() {
      for (const map of this.maps) {
        const canvas = [this.$refs[map.name]].flat()[0];
        if (!canvas) continue;
        const values = new Int8Array(Uint8Array.from(atob(map.values), (c) => c.charCodeAt(0)).buffer);
        canvas.width = map.columns; canvas.height = map.rows;
        canvas.style.aspectRatio = `${Math.max(map.columns, map.rows)} / ${Math.max(map.rows, map.columns / 6)}`;
        let low = 127, high = -128;
        for (const v of values) { low = Math.min(low, v); high = Math.max(high, v); }
        const g = canvas.getContext("2d"), image = g.createImageData(map.columns, map.rows);
        values.forEach((v, i) => {
          const at = ((v - low) / (high - low || 1)) * (HEAT.length - 1), k = Math.min(HEAT.length - 2, Math.floor(at));
          image.data.set(HEAT[k].map((c, j) => c + (HEAT[k + 1][j] - c) * (at - k)).concat(255), 4 * i);
        });
        g.putImageData(image, 0, 0);
      }
    },
  },
};
