// Draws every <figure data-chart> from the JSON in that attribute with uPlot, in the theme's colours.
// `updateChart(id, {x, series})` changes the numbers of one that is drawn; live streams send an event "chart" with {id, x, series}.
// A series may have `low` and `high`: a band. Charts with the same `sync` share their cursor and the width of their axis. `marks` are
// moments on the axis of time. With a `link`, a click or Enter on a step of time leads to what is behind it.
import { colour, faded, lonely, moments, steps } from "./axis.js";
import { asUnit } from "./units.js";

const PALETTE = 8;
const drawn = new Map();
let library;

/** uPlot is a classic script that sets one global; it is fetched for the first chart that a session sees. */
function uplot() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("./vendor/uPlot.iife.min.js", import.meta.url).href;
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = () => reject(new Error("uPlot could not be loaded"));
    document.head.append(script);
  });
  return library;
}

function seriesName(series, index) {
  return series.tone ?? String((index % PALETTE) + 1);
}

function seriesToken(series, index) {
  return series.tone ? `--${series.tone}` : `--series-${(index % PALETTE) + 1}`;
}

const AWAY = { left: -10, top: -10 };
const TONES = { release: "--accent", alert: "--warn", incident: "--bad", note: "--faint" };

class Chart {
  constructor(figure, library) {
    this.figure = figure;
    this.library = library;
    this.spec = JSON.parse(figure.dataset.chart);
    this.plot = figure.querySelector(".chart-plot");
    this.off = new Set();
    this.tip = document.createElement("div");
    this.tip.className = "chart-tip";
    this.tip.hidden = true;
    this.legend();
    this.draw();
    this.keyboard();
    figure.querySelector(".chart-data[data-lazy]")?.addEventListener("toggle", () => this.numbers());
    this.resize = new ResizeObserver(() => {
      const width = Math.floor(this.plot.clientWidth);
      if (width > 0 && width !== this.uplot.width) this.uplot.setSize({ width, height: this.spec.height });
    });
    this.resize.observe(this.plot);
  }

  get stacked() {
    return this.spec.kind === "bars" || this.spec.kind === "stacked";
  }

  shown() {
    return this.spec.series.map((series, index) => ({ series, index })).filter(({ index }) => !this.off.has(index));
  }

  banded() {
    return this.stacked ? [] : this.shown().filter(({ series }) => series.low);
  }

  /** What uPlot draws. Stacked kinds are running sums, the topmost first so that each lower one is painted over it. */
  data() {
    const shown = this.shown();
    if (!this.stacked) {
      const bands = this.banded().flatMap(({ series }) => [series.low, series.high]);
      return [this.spec.x, ...shown.map(({ series }) => series.values), ...bands];
    }
    const sums = [];
    let below = this.spec.x.map(() => 0);
    for (const { series } of shown) {
      below = below.map((sum, at) => sum + (series.values[at] ?? 0));
      sums.push(below);
    }
    return [this.spec.x, ...sums.reverse()];
  }

  draw() {
    this.uplot?.destroy();
    const { kind, unit, height, currency, sync } = this.spec;
    const text = colour("--faint");
    const grid = { stroke: colour("--line"), width: 1 };
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const shown = this.shown();
    const ordered = this.stacked ? [...shown].reverse() : shown;
    const banded = this.banded();
    const drawnLines = ordered.length;
    const bars = kind === "bars" ? this.library.paths.bars({ size: [0.72, 48], radius: 0.12, gap: 1 }) : undefined;
    const options = {
      width: Math.max(120, Math.floor(this.plot.clientWidth)),
      height,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: kind !== "bars", size: (u, at) => (at > drawnLines ? 0 : 7), width: 2 }, drag: { x: false, y: false }, sync: sync ? { key: sync } : undefined },
      scales: {
        x: { time: true, range: (u, least, most) => (kind === "bars" || sync ? this.barRange(least, most) : [least, most]) },
        y: { range: (u, least, most) => [Math.min(0, least ?? 0), Math.max(most ?? 0, unit === "fraction" ? 0.01 : 1e-9) * 1.08] },
      },
      axes: [
        { stroke: text, font, grid: { show: false }, ticks: { show: false }, size: 26, gap: 6, space: 76, values: (u, splits) => moments(splits) },
        {
          stroke: text,
          font,
          grid,
          ticks: { show: false },
          size: sync ? 58 : (u, values) => Math.max(36, 12 + 6.4 * Math.max(0, ...(values ?? []).map((word) => word.length))),
          gap: 6,
          space: 36,
          values: (u, splits) => splits.map((value) => asUnit(value, unit, currency, true)),
          incrs: steps(unit),
        },
      ],
      series: [
        {},
        ...ordered.map(({ series, index }) => {
          const stroke = colour(seriesToken(series, index));
          const filled = kind !== "line";
          return {
            label: series.label,
            stroke: kind === "bars" ? undefined : stroke,
            width: kind === "bars" ? 0 : 1.75,
            fill: filled ? (kind === "area" ? faded(stroke, 0.14) : kind === "stacked" ? this.over(stroke) : stroke) : undefined,
            paths: bars,
            // A value without neighbours makes no line, so it is drawn as a point.
            points: { show: this.spec.x.length === 1, filter: (plot, at, all) => (all ? null : lonely(plot.data[at])) },
          };
        }),
        ...banded.flatMap(() => [{ points: { show: false } }, { points: { show: false } }]),
      ],
      bands: banded.map(({ series, index }, at) => ({
        series: [drawnLines + 2 * at + 2, drawnLines + 2 * at + 1],
        fill: faded(colour(seriesToken(series, index)), 0.18),
      })),
      hooks: {
        draw: [(u) => this.marks(u)],
        setCursor: [(u) => this.point(u)],
        ready: [(u) => u.over.append(this.tip)],
      },
    };
    this.uplot = new this.library(options, this.data(), this.plot);
    this.uplot.over.addEventListener("mouseleave", () => (this.tip.hidden = true));
    if (this.spec.link) this.uplot.over.addEventListener("click", () => this.open());
  }

  get step() {
    const { x, step } = this.spec;
    return step || (x.length > 1 ? x[1] - x[0] : 3600);
  }

  /** What is behind a step of time. */
  behind(at) {
    const { x, link } = this.spec;
    return link.replace("SINCE", x[at]).replace("UNTIL", x[at] + this.step);
  }

  open() {
    const at = this.uplot.cursor.idx;
    if (at !== null && at !== undefined) location.assign(this.behind(at));
  }

  /** Arrows move the cursor, Enter opens what is behind it, Escape puts it away. */
  keyboard() {
    this.plot.addEventListener("keydown", (event) => {
      const last = this.spec.x.length - 1;
      const at = this.uplot.cursor.idx;
      const to = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last }[event.key];
      if (to !== undefined) this.uplot.setCursor({ left: this.uplot.valToPos(this.spec.x[Math.min(last, Math.max(0, to))], "x"), top: 1 }, true, true);
      else if (event.key === "Escape") this.uplot.setCursor(AWAY, true, true);
      else if (event.key === "Enter" && this.spec.link) this.open();
      else return;
      event.preventDefault();
    });
    this.plot.addEventListener("blur", () => this.uplot.setCursor(AWAY, true, true));
  }

  /** Releases, alerts and incidents: a line at each, and a shade over those that lasted. */
  marks(u) {
    const { ctx, bbox } = u;
    const [least, most] = [u.scales.x.min, u.scales.x.max];
    const at = (moment) => u.valToPos(Math.min(most, Math.max(least, moment)), "x", true);
    ctx.save();
    for (const mark of this.spec.marks ?? []) {
      if ((mark.until ?? mark.at) < least || mark.at > most) continue;
      const left = Math.round(at(mark.at));
      const tone = colour(TONES[mark.kind] ?? "--faint");
      if (mark.until) {
        ctx.fillStyle = faded(tone, 0.12);
        ctx.fillRect(left, bbox.top, Math.max(2, at(mark.until) - left), bbox.height);
      }
      ctx.strokeStyle = ctx.fillStyle = tone;
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      const size = 4 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(left - size, bbox.top - size);
      ctx.lineTo(left + size, bbox.top - size);
      ctx.lineTo(left, bbox.top + size);
      ctx.fill();
    }
    ctx.restore();
  }

  /** Stacked areas hide what lies below them, so their fill must be opaque: the series' colour over the card's. */
  over(stroke) {
    const canvas = (this.mixer ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
    canvas.canvas.width = canvas.canvas.height = 1;
    canvas.fillStyle = colour("--surface");
    canvas.fillRect(0, 0, 1, 1);
    canvas.globalAlpha = 0.55;
    canvas.fillStyle = stroke;
    canvas.fillRect(0, 0, 1, 1);
    canvas.globalAlpha = 1;
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return `rgb(${r},${g},${b})`;
  }

  /** Half a bar of room at either end, or the first and last bars are cut in two. */
  barRange(least, most) {
    const { x } = this.spec;
    const step = x.length > 1 ? x[1] - x[0] : 3600;
    return [least - step / 2, most + step / 2];
  }

  point(u) {
    const at = u.cursor.idx;
    if (at === null || at === undefined || u.cursor.left < 0) {
      this.tip.hidden = true;
      return;
    }
    const { unit, currency, x } = this.spec;
    const time = document.createElement("div");
    time.className = "chart-tip-time";
    time.textContent = new Date(x[at] * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    const lines = this.shown().map(({ series, index }) => this.line(series, index, this.words(series, at)));
    if (this.stacked && lines.length > 1) {
      const total = this.shown().reduce((sum, { series }) => sum + (series.values[at] ?? 0), 0);
      lines.push(this.line({ label: "Total" }, null, asUnit(total, unit, currency)));
    }
    for (const mark of this.spec.marks ?? []) {
      if (mark.at < x[at] + this.step && (mark.until ?? mark.at) >= x[at]) lines.push(this.line({ label: `${mark.kind}: ${mark.title}` }, null, ""));
    }
    this.tip.replaceChildren(time, ...lines);
    this.tip.hidden = false;
    const room = u.over.clientWidth;
    const width = this.tip.offsetWidth;
    const right = u.cursor.left + 14;
    const left = right + width > room ? Math.max(0, u.cursor.left - width - 14) : right;
    this.tip.style.transform = `translate(${Math.round(left)}px, 4px)`;
  }

  /** A value and, where it is an estimate, its interval. */
  words(series, at) {
    const [value, low, high] = [series.values, series.low, series.high].map((all) => asUnit(all?.[at], this.spec.unit, this.spec.currency));
    return series.low?.[at] == null ? value : `${value} (${low} to ${high})`;
  }

  line(series, index, value) {
    const row = document.createElement("div");
    row.className = "chart-tip-row";
    const number = document.createElement("span");
    number.className = "num";
    number.textContent = value;
    if (index !== null) {
      const swatch = document.createElement("span");
      swatch.className = `swatch series-${seriesName(series, index)}`;
      row.append(swatch);
    }
    row.append(series.label, number);
    return row;
  }

  /** One button for each series; pressed means drawn. The last one cannot be put away. */
  legend() {
    const box = this.figure.querySelector(".chart-legend");
    box.replaceChildren(
      ...this.spec.series.map((series, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", String(!this.off.has(index)));
        const swatch = document.createElement("span");
        swatch.className = `swatch series-${seriesName(series, index)}`;
        button.append(swatch, series.label);
        button.addEventListener("click", () => {
          if (this.off.has(index)) this.off.delete(index);
          else if (this.off.size < this.spec.series.length - 1) this.off.add(index);
          button.setAttribute("aria-pressed", String(!this.off.has(index)));
          this.draw();
        });
        return button;
      }),
    );
  }

  update({ x, series }) {
    const same = series.length === this.spec.series.length && series.every((one, at) => one.label === this.spec.series[at].label);
    this.spec = { ...this.spec, x, series };
    if (same) {
      this.uplot.setData(this.data());
    } else {
      this.off.clear();
      this.legend();
      this.draw();
    }
    this.numbers();
  }

  /** The table under the chart, for those who read rather than look. */
  numbers() {
    const table = this.figure.querySelector(".chart-data table");
    if (!table) return;
    const { x, series, link } = this.spec;
    const head = table.tHead.rows[0];
    head.replaceChildren(...["Time", ...series.map((one) => one.label)].map((word, at) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = word;
      if (at > 0) cell.className = "num";
      return cell;
    }));
    table.tBodies[0].replaceChildren(...x.map((moment, at) => {
      const row = document.createElement("tr");
      const time = row.insertCell();
      time.textContent = new Date(moment * 1000).toLocaleString();
      if (link) {
        const behind = document.createElement("a");
        behind.href = this.behind(at);
        behind.append(...time.childNodes);
        time.append(behind);
      }
      for (const one of series) {
        const cell = row.insertCell();
        cell.className = "num";
        cell.textContent = this.words(one, at);
      }
      return row;
    }));
  }

  destroy() {
    this.resize.disconnect();
    this.uplot.destroy();
  }
}

export async function drawCharts(root) {
  const figures = [...root.querySelectorAll("figure[data-chart]")];
  if (root.matches?.("figure[data-chart]")) figures.push(root);
  const fresh = figures.filter((figure) => figure.querySelector(".chart-plot") && drawn.get(figure.id)?.figure !== figure);
  if (fresh.length === 0) return;
  const library = await uplot();
  for (const figure of fresh) {
    drawn.get(figure.id)?.destroy();
    drawn.set(figure.id, new Chart(figure, library));
    figure.dataset.drawn = "";
  }
}

/** Give a drawn chart other numbers. Does nothing when the page has no such chart. */
export function updateChart(id, data) {
  drawn.get(id)?.update(data);
}

document.addEventListener("penstock:theme", () => {
  for (const chart of drawn.values()) chart.draw();
});
// A page listens with <div sse-swap="chart" hx-swap="none">; the message is data, not markup.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  if (event.detail.type !== "chart") return;
  event.preventDefault();
  const { id, ...data } = JSON.parse(event.detail.data);
  updateChart(id, data);
});
