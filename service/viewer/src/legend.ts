/** The legend: what the colours mean, with unit and range. */
import { el } from "./dom";
import { unitSuffix, within } from "./format";
import { rampCss } from "./palettes";
import { classesOf } from "./painting";
import type { Raster } from "./products";
import type { Range, View } from "./views";

/** Heading of the legend: what is drawn, and in which unit. */
export function legendTitle(view: View): string {
  const unit = view.draw === "ramp" ? unitSuffix(view.unit).trim() : "";
  return unit ? `${view.title} (${unit})` : view.title;
}

/** Legend of a view; ``range`` is null where there is no value at all. */
export function legend(view: View, raster: Raster, range: Range | null): HTMLElement[] {
  if (view.draw === "classes") return [classList(raster, view)];
  if (view.draw === "rgb") return [el("p", { class: "note" }, view.explanation)];
  if (range === null) return [el("p", { class: "note" }, "This layer has no value anywhere.")];
  return [colourBar(view, range)];
}

function colourBar(view: View, [low, high]: Range): HTMLElement {
  const middle = (low + high) / 2;
  const scale = [low, middle, high].map((value, index) => {
    const sign = index === 0 ? "≤ " : index === 2 ? "≥ " : "";
    return el("span", {}, sign + within(value, high - low));
  });
  const unit = unitSuffix(view.unit).trim();
  const bar = el("div", { class: "ramp", role: "img", "aria-label": `Colours from ${within(low, high - low)} to ${within(high, high - low)} ${unit}` });
  bar.style.background = rampCss(view.ramp);
  return el("div", { class: "colour-bar" }, bar, el("div", { class: "scale" }, ...scale));
}

function classList(raster: Raster, view: View): HTMLElement {
  const rows = classesOf(raster, view.key).map(({ title, colour }) => {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colour;
    return el("li", {}, swatch, sentence(title));
  });
  return el("ul", { class: "classes" }, ...rows);
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
