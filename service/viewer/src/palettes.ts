/** Colours. Ramps step evenly in lightness, so that they also read in grey and with colour blindness. */

export type Rgb = [number, number, number];

const RAMPS = {
  /** Values of a soil property. */
  value: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
  /** How uncertain: the darker, the less is known. Its light end is no colour of land or veil. */
  uncertainty: ["#fdd09f", "#fb9f72", "#ee6a63", "#c23c78", "#852880", "#4a1477", "#1c0f45"],
  /** How unlike the training samples. */
  dissimilarity: ["#fee3a8", "#fdc766", "#f7a03a", "#e57a1c", "#c4570d", "#943906", "#5f2404"],
  /** How often bare. */
  frequency: ["#ead9b5", "#d9be8e", "#c4a069", "#a87f4b", "#876035", "#644123", "#402613"],
} as const;

export type RampName = keyof typeof RAMPS;

const CLASSES: Record<string, Record<number, string>> = {
  aoa: { 0: "#e08a3c", 1: "#3b7f95" },
  MASK: { 0: "#d5d9dd", 1: "#a9683a", 2: "#5d9150", 3: "#7d8b99", 4: "#e6c48d" },
};
/** For classes of layers this page does not know by name. */
const OTHERS = ["#3b7f95", "#e08a3c", "#5d9150", "#8b5fa8", "#c4564a", "#7d8b99", "#c9a52f", "#4a4f57"];

/** Colours of a ramp from its low to its high end. */
export function ramp(name: RampName): Rgb[] {
  return RAMPS[name].map(rgb);
}

/** A ramp for CSS. */
export function rampCss(name: RampName): string {
  return `linear-gradient(to right, ${RAMPS[name].join(", ")})`;
}

/** Colour of a class of a layer. */
export function classColour(layer: string, value: number, position: number): string {
  return CLASSES[layer]?.[value] ?? OTHERS[position % OTHERS.length];
}

/** "#3b7f95" as numbers from 0 to 255. */
export function rgb(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
