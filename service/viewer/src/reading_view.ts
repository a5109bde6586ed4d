/** A reading in words and small drawings. */
import { el, facts, svg } from "./dom";
import { byStep, depthText, grouped, unitSuffix } from "./format";
import type { Reading } from "./inspect";
import { spectrum } from "./spectrum";
import { bandOf, type Range } from "./views";

const UNRELIABLE = "Neither the value nor its interval should be relied on.";

/** What the reading says; ``range`` is the range of values of the map, for the drawing of the interval. */
export function readingView(reading: Reading, title: string, range: Range | null): HTMLElement[] {
  const parts = reading.product.kind === "composite" ? compositeParts(reading) : mapParts(reading, title, range);
  return [...parts, place(reading)];
}

function mapParts(reading: Reading, title: string, range: Range | null): HTMLElement[] {
  const mean = reading.values.get("mean") ?? reading.values.get("q50");
  if (mean === null || mean === undefined) return [el("p", {}, "The map has no value here: soil was not seen, or a covariate is missing.")];
  const unit = unitSuffix(bandOf(reading.product, "mean")?.band.unit ?? "");
  const depth = reading.product.depth ? `, ${depthText(reading.product.depth)}` : "";
  return [
    el("p", { class: "value" }, el("span", { class: "what" }, title + depth), el("strong", {}, text(reading, "mean") + unit)),
    ...interval(reading, unit, range),
    applicability(reading),
  ];
}

function interval(reading: Reading, unit: string, range: Range | null): HTMLElement[] {
  const [low, high] = [reading.values.get("q05"), reading.values.get("q95")];
  if (low === null || low === undefined || high === null || high === undefined) return [];
  const words = `90 % interval: ${text(reading, "q05")} to ${text(reading, "q95")}${unit}`;
  const explained = "Of a hundred places with such an interval, about ninety have their true value inside.";
  const drawing = range && intervalBar([low, high], reading.values.get("mean")!, range);
  return [el("div", { class: "interval" }, el("p", { title: explained }, words), drawing)];
}

/** The interval as a bar on the range of the map's colours. */
function intervalBar([low, high]: Range, mean: number, range: Range): HTMLElement {
  const [from, to] = [Math.min(range[0], low), Math.max(range[1], high)];
  const at = (value: number) => (100 * (value - from)) / (to - from || 1);
  const drawing = svg(
    "svg",
    { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true", class: "interval-bar" },
    svg("rect", { x: 0, y: 3.4, width: 100, height: 1.2, class: "track" }),
    svg("rect", { x: at(low), y: 1.6, width: Math.max(at(high) - at(low), 0.6), height: 4.8, class: "span" }),
    svg("rect", { x: at(mean) - 0.5, y: 0, width: 1, height: 8, class: "mean" }),
  );
  return el("div", {}, drawing);
}

function applicability(reading: Reading): HTMLElement {
  const [inside, index] = [reading.values.get("aoa"), reading.values.get("di")];
  const much = index === null || index === undefined ? "" : ` (dissimilarity ${text(reading, "di")})`;
  if (inside === 1) {
    return el("p", { class: "verdict inside" }, el("strong", {}, "The model applies here."), ` This place is like those where samples were taken${much}.`);
  }
  if (inside === 0) {
    return el("p", { class: "verdict outside" }, el("strong", {}, "The model does not apply here."), ` This place is unlike those where samples were taken${much}. ${UNRELIABLE}`);
  }
  return el("p", { class: "verdict" }, "Whether the model applies here is not known: the map has no layer that says so.");
}

function compositeParts(reading: Reading): HTMLElement[] {
  const mask = maskTitle(reading);
  const rows: [string, string][] = [];
  if (mask) rows.push(["Surface", mask]);
  const [bare, valid] = [reading.values.get("BSC"), reading.values.get("VPC")];
  if (bare !== null && bare !== undefined) {
    rows.push(["Bare-soil observations", valid === null || valid === undefined ? grouped(bare) : `${grouped(bare)} of ${grouped(valid)} valid ones`]);
  }
  const share = reading.values.get("BSF");
  if (share !== null && share !== undefined) rows.push(["Bare-soil frequency", `${(100 * share).toFixed(1)} %`]);
  const drawn = spectrum(reading);
  return [facts(rows), ...(drawn ?? [el("p", {}, "No bare-soil reflectance here.")])];
}

function maskTitle(reading: Reading): string | null {
  const value = reading.values.get("MASK");
  const found = bandOf(reading.product, "MASK");
  if (value === null || value === undefined || !found) return null;
  return found.raster.classes.find((each) => each.value === value)?.title ?? `class ${value}`;
}

function place({ product, x, y }: Reading): HTMLElement {
  const [east, north] = product.crs === "EPSG:4326" ? [x.toFixed(6), y.toFixed(6)] : [grouped(x), grouped(y)];
  return el("p", { class: "place", "data-x": x, "data-y": y }, `Cell at E ${east}, N ${north} (${product.crs})`);
}

function text(reading: Reading, name: string): string {
  const value = reading.values.get(name);
  return value === null || value === undefined ? "no value" : byStep(value, reading.steps.get(name) ?? 1);
}
