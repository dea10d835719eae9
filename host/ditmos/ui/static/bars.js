// Named values as bars: a list that is read as text, too.
export default {
  template: `<ul class="bars" :aria-label="label">
    <li v-for="row in rows" :key="row.name" :class="{ now: row.now }">
      <span class="bars-name" :title="row.name">{{ row.name }}</span>
      <span class="bars-track"><span :style="{ width: 100 * row.value + '%', background: row.colour || 'var(--trace)' }"></span></span>
      <span class="bars-text">{{ row.text }}</span>
    </li>
  </ul>`,
  props: { label: String, rows: Array },
};
