/** The bare-soil spectrum of a cell: a drawing, and the same as a table. */
import { el, svg } from "./dom";
import type { Reading } from "./inspect";

interface Point {
  band: string;
  um: number;
  value: number;
  /** Half-width of the 95 % confidence interval of the mean. */
  half: number | null;
}

const [WIDTH, HEIGHT] = [320, 150];
const [LEFT, RIGHT, TOP, BOTTOM] = [36, 8, 8, 30];
const [UM_FROM, UM_TO] = [0.4, 2.4];

/** Drawing and table; null where the cell has no reflectance. */
export function spectrum(reading: Reading): HTMLElement[] | null {
  const points = pointsOf(reading);
  if (points.length === 0) return null;
  const caption = "Mean reflectance of the bare-soil observations with its 95 % confidence interval";
  const drawing = el("figure", { class: "spectrum" }, el("div", {}, drawn(points)), el("figcaption", {}, caption));
  return [drawing, el("details", {}, el("summary", {}, "Reflectance by band"), table(points, caption))];
}

function pointsOf(reading: Reading): Point[] {
  const bands = reading.product.rasters.get("SRC")?.bands ?? [];
  return bands.flatMap((each) => {
    const value = reading.values.get(each.name);
    if (value === null || value === undefined || each.wavelengthUm === undefined) return [];
    const half = reading.values.get(each.name.replace("SRC_", "SRC-CI95_")) ?? null;
    return [{ band: each.name.replace("SRC_", ""), um: each.wavelengthUm, value, half }];
  });
}

function drawn(points: Point[]): SVGElement {
  const top = Math.max(0.1, Math.ceil(10 * Math.max(...points.map((each) => each.value + (each.half ?? 0)))) / 10);
  const x = (um: number) => LEFT + ((WIDTH - LEFT - RIGHT) * (um - UM_FROM)) / (UM_TO - UM_FROM);
  const y = (value: number) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / top;
  const line = points.map((each) => `${x(each.um).toFixed(1)},${y(each.value).toFixed(1)}`).join(" ");
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Spectrum; its values are in the table below" },
    ...[0, top / 2, top].flatMap((value) => [
      svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
      svg("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)),
    ]),
    ...[0.5, 1, 1.5, 2].map((um) => svg("text", { x: x(um), y: HEIGHT - 16, "text-anchor": "middle" }, um.toFixed(1))),
    svg("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, "wavelength (µm)"),
    ...points.flatMap((each) => bar(each, x, y)),
    svg("polyline", { points: line, class: "curve" }),
    ...points.map((each) => svg("circle", { cx: x(each.um), cy: y(each.value), r: 2.6, class: "dot" })),
  );
}

function bar({ um, value, half }: Point, x: (um: number) => number, y: (value: number) => number): SVGElement[] {
  if (half === null) return [];
  return [svg("line", { x1: x(um), x2: x(um), y1: y(Math.max(0, value - half)), y2: y(value + half), class: "error" })];
}

function table(points: Point[], caption: string): HTMLTableElement {
  const head = el("tr", {}, ...["Band", "µm", "Reflectance", "±"].map((name) => el("th", { scope: "col" }, name)));
  const rows = points.map(({ band, um, value, half }) =>
    el("tr", {}, el("th", { scope: "row" }, band), el("td", {}, um.toFixed(3)), el("td", {}, value.toFixed(4)), el("td", {}, half === null ? "–" : half.toFixed(4))),
  );
  return el("table", { class: "bands" }, el("caption", { class: "hidden" }, caption), el("thead", {}, head), el("tbody", {}, ...rows));
}
