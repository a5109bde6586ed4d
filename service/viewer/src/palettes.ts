/** Colours. Ramps step evenly in lightness, so that they also read in grey and with colour blindness. */

export type Rgb = [number, number, number];

const RAMPS = {
  /** Values of a soil property. */
  value: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
  /** How uncertain: the darker, the less is known. */
  uncertainty: ["#fcfbfd", "#e2e2ef", "#bcbddc", "#9690c2", "#7566ae", "#583394", "#3f007d"],
  /** How unlike the training samples. */
  dissimilarity: ["#fff7e6", "#fee0ad", "#fdbe72", "#f28e3c", "#d55d12", "#9c3a06", "#5f2404"],
  /** How often bare. */
  frequency: ["#f7f4ee", "#e5d8c0", "#cdb48c", "#b08c5d", "#8c653a", "#664323", "#402613"],
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
