"use strict";
// Charts: what they have in common. They are drawn again when their width or the colours change.
/* global echarts */

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const drawings = new Map(); // id of a figure -> what draws it again, if its width is another or if it must
const resized = new ResizeObserver(() => redraw());
const redraw = (must = false) => drawings.forEach((again) => again(must));

/** Draws a chart now and whenever its width or the colours change. */
function draw(id, describe) {
  const place = $(`#${id} .chart`);
  place.setAttribute("role", "img");
  let drawn = 0;
  drawings.set(id, (must) => {
    const width = place.clientWidth;
    if (width === drawn && !must) return;
    drawn = width;
    if (!width) return; // it is drawn once it is shown
    const { height, label, ...option } = describe(width);
    place.style.height = `${height ?? 300}px`;
    place.setAttribute("aria-label", label);
    const chart = echarts.getInstanceByDom(place) ?? echarts.init(place);
    chart.resize();
    chart.setOption({ ...common(), ...option }, { notMerge: true });
  });
  drawings.get(id)(true);
  resized.observe(place);
}

function common() {
  return {
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 300,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour("quiet") },
    grid: { left: 4, right: 14, top: 34, bottom: 4, outerBoundsMode: "same" },
  };
}

const legend = () => ({
  top: 0,
  left: 0,
  itemWidth: 11,
  itemHeight: 11,
  icon: "roundRect",
  type: "scroll",
  textStyle: { color: colour("quiet"), fontSize: 13 },
  pageTextStyle: { color: colour("quiet") },
});

const values = (extra = {}) => ({
  type: "value",
  splitNumber: 4,
  axisLabel: { color: colour("quiet"), formatter: short },
  splitLine: { lineStyle: { color: colour("line") } },
  ...extra,
});

/** A text of the data as the library may draw it. It keeps the widths of texts, of each line and of each beginning, under
 * their own names in a plain object, so none may be the name of a property: a word joiner, which is not seen, comes first. */
const labelOf = (text) => `\u2060${text.replace(/[\r\n\u2028\u2029]/g, " ")}`;

/** An axis of texts. The library gets their numbers alone: it uses names as keys, and a product may be called __proto__. */
const names = (texts, { axisLabel = {}, ...extra } = {}) => ({
  type: "category",
  data: texts.map((_, i) => String(i)),
  texts,
  axisTick: { show: false },
  axisLine: { lineStyle: { color: colour("control") } },
  ...extra,
  axisLabel: {
    color: colour("quiet"),
    ...axisLabel,
    formatter: (i) => (axisLabel.formatter ? axisLabel.formatter(texts[i], Number(i)) : labelOf(texts[i])),
  },
});

/** Series with texts of the data as names, and the legend that shows them; the library gets numbers here, too. */
const named = (series) => ({
  legend: { ...legend(), formatter: (i) => labelOf(series[i].text) },
  series: series.map((one, i) => ({ ...one, name: String(i) })),
});

/** A tooltip for everything at one place of the axis: elements, so that nothing is read as HTML. */
function tooltip(title, lines) {
  return {
    trigger: "axis",
    confine: true,
    className: "tip",
    backgroundColor: colour("card"),
    borderColor: colour("control"),
    padding: [8, 12],
    textStyle: { color: colour("ink"), fontSize: 13 },
    axisPointer: { type: "shadow", shadowStyle: { color: colour("quiet"), opacity: 0.08 } },
    formatter: ([{ dataIndex }]) =>
      el(
        "div",
        {},
        el("strong", {}, title(dataIndex)),
        lines(dataIndex).map(([name, value]) => el("div", {}, el("span", {}, name), value)),
      ),
  };
}

/** Bars to the right, the first on top: one series. */
function ranking(rows, width, name, fill) {
  return {
    height: Math.max(120, 28 * rows.length + 20),
    grid: { left: 4, right: 58, top: 4, bottom: 4, outerBoundsMode: "same" },
    tooltip: tooltip(
      (i) => rows[i].name,
      (i) => [[name, exact.format(rows[i].value)], ...(rows[i].more ?? [])],
    ),
    xAxis: values({ show: false }),
    yAxis: names(
      rows.map((row) => row.name),
      {
        inverse: true,
        axisLine: { show: false },
        axisLabel: { color: colour("ink"), fontSize: 13, width: Math.min(170, width * 0.34), overflow: "truncate" },
      },
    ),
    series: [
      {
        name,
        type: "bar",
        barMaxWidth: 18,
        itemStyle: { borderRadius: 3 },
        data: rows.map((row, i) => ({ value: row.value, itemStyle: { color: fill(row, i) } })),
        label: {
          show: true,
          position: "right",
          color: colour("ink"),
          fontSize: 13,
          formatter: ({ value }) => short(value),
        },
      },
    ],
  };
}
