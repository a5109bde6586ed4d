/** Numbers, dates and units as people read them. */

/** A number with as many decimals as its step has: 12.3 for values stored in steps of 0.1. */
export function byStep(value: number, step: number): string {
  return value.toFixed(decimals(step));
}

/** A number to about ``digits`` significant digits, without an exponent. */
export function rounded(value: number, digits = 3): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return grouped(value, Math.min(places, 6));
}

/** A number as finely as a range of this width needs. */
export function within(value: number, width: number): string {
  const places = width > 0 ? 2 - Math.floor(Math.log10(width)) : 2;
  return grouped(value, Math.max(0, Math.min(6, places)));
}

/** A number with thin spaces between thousands: 1 234 567. */
export function grouped(value: number, places = 0): string {
  const [whole = "", rest] = value.toFixed(places).split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return rest === undefined ? spaced : `${spaced}.${rest}`;
}

/** " g/kg", "" for what has no unit, " %" and the like. */
export function unitSuffix(unit: string): string {
  return unit === "1" || unit === "" || unit === "pH" ? "" : `\u00a0${unit.replace("dm3", "dm³").replace("cm3", "cm³")}`;
}

/** A period by its days; one day is named once. */
export function periodText(start: string, end: string): string {
  const [from, to] = [start.slice(0, 10), end.slice(0, 10)];
  return from === to ? from : `${from} – ${to}`;
}

/** "0–20 cm" from "0-20cm". */
export function depthText(depth: string | undefined): string {
  if (depth === undefined) return "not stated";
  const match = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)cm$/.exec(depth);
  return match ? `${match[1]}–${match[2]}\u00a0cm` : depth;
}

/** "52.39012° N, 14.47003° E". */
export function placeText([lon, lat]: number[]): string {
  const [north, east] = [lat >= 0 ? "N" : "S", lon >= 0 ? "E" : "W"];
  return `${Math.abs(lat).toFixed(5)}° ${north}, ${Math.abs(lon).toFixed(5)}° ${east}`;
}

/** Hectares, with a decimal for small areas. */
export function hectares(value: number): string {
  return `${grouped(value, value < 100 ? 1 : 0)} ha`;
}

function decimals(step: number): number {
  return Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
}
