// Charts over time, drawn by uPlot; the same numbers as a table for those who do not see them.
// `vendor/uPlot.esm.js` is npm's `dist/uPlot.iife.min.js` of uplot 1.6.32 with an export as its last line.

import uPlot from "../vendor/uPlot.esm.js";
import { h, fill } from "./dom.js";
import { table } from "./table.js";
import * as format from "./format.js";

const HEIGHT_PX = 150;

/**
 * `series`: `{ title, values, color }`, one value for each of `times` (seconds since 1970), color 1 to 8.
 * Stacked, each stands on the one before.
 */
export function chart({ title, times, step, series, show, stacked, signal, keep }) {
  const plot = h("div", { class: "plot", role: "img", "aria-label": `Chart: ${title}; the numbers are in the table below it` });
  const values = series.map(() => h("span", { class: "num" }));
  const legend = h(
    "ul",
    { class: "legend" },
    series.map((one, at) => h("li", {}, h("span", { class: `swatch s${one.color}` }), one.title, " ", values[at])),
  );
  const when = h("span", { class: "quiet" });
  const say = (index) => {
    when.textContent = index === null ? "" : `${format.moment(times[index]).slice(0, 16)} UTC`;
    series.forEach((one, at) => (values[at].textContent = show(index === null ? sum(one.values) : one.values[index])));
  };
  say(null);
  drawn(plot, { times, step, series, show, stacked, say, signal });
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("strong", {}, title), when, legend),
    plot,
    asTable(title, times, series, show, keep ?? title),
  );
}

const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);

/** Made when it is opened: most never are. */
function asTable(title, times, series, show, keep) {
  const rows = times.map((at, index) => ({ at, index })).filter(({ index }) => series.some((one) => one.values[index]));
  const columns = [
    { title: "From (UTC)", head: true, cell: ({ at }) => format.moment(at).slice(0, 16) },
    ...series.map((one) => ({ title: one.title, num: true, cell: ({ index }) => show(one.values[index]) })),
  ];
  const inside = h("div");
  const opened = (event) => {
    if (event.target.open) fill(inside, table({ caption: `${title}, as a table`, columns, rows, keep: `table ${keep}` }));
  };
  return h("details", { "data-keep": `chart ${keep}`, ontoggle: opened }, h("summary", {}, "As a table"), inside);
}

function drawn(plot, chart) {
  let made;
  const draw = () => {
    made?.destroy();
    const width = Math.floor(plot.clientWidth);
    made = width > 0 ? new uPlot(options(chart, width), data(chart), plot) : undefined;
  };
  const observer = new ResizeObserver(() => {
    if (!plot.isConnected) return stop();
    const width = Math.floor(plot.clientWidth);
    if (made && width > 0) made.setSize({ width, height: HEIGHT_PX });
    else draw();
  });
  const stop = () => {
    observer.disconnect();
    removeEventListener("theme", redraw);
    chart.signal.removeEventListener("abort", stop);
    made?.destroy();
    made = undefined;
  };
  const redraw = () => (plot.isConnected ? draw() : stop());
  addEventListener("theme", redraw);
  chart.signal.addEventListener("abort", stop);
  observer.observe(plot);
}

/** What stands on others reaches from the ground, and is drawn before them. */
function data({ times, series, stacked }) {
  if (!stacked) return [times, ...series.map((one) => one.values)];
  const sums = times.map(() => 0);
  const piled = series.map((one) => one.values.map((value, at) => (sums[at] += value ?? 0)));
  return [times, ...piled.reverse()];
}

function options({ times, step, series, show, stacked, say }, width) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const long = times.length > 1 && times[times.length - 1] - times[0] > 2 * 86_400;
  const axis = {
    stroke: color("--quiet"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const bars = uPlot.paths.bars({ size: [0.8, 40], align: 1 });
  const shown = (stacked ? [...series].reverse() : series).map((one) => ({
    stroke: color(`--s${one.color}`),
    fill: stacked ? color(`--s${one.color}`) : undefined,
    width: stacked ? 0 : 1.5,
    paths: stacked ? bars : undefined,
    points: { show: false },
  }));
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: !stacked } },
    tzDate: (at) => uPlot.tzDate(new Date(at * 1_000), "Etc/UTC"),
    scales: {
      x: { time: true, range: () => [times[0], times[times.length - 1] + step] },
      y: { range: (_, _low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, size: 24, space: 60, values: (_, at) => at.map((one) => (long ? format.day(one) : format.clock(one))) },
      { ...axis, size: 62, space: 30, values: (_, at) => at.map((one) => show(one)) },
    ],
    series: [{}, ...shown],
    hooks: { setCursor: [(u) => say(u.cursor.idx ?? null)] },
  };
}
