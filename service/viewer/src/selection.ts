/** The selectors of property, depth, period and layer. */
import { readMosaics, type Catalog, type Subject } from "./catalog";
import { byId, fillSelect } from "./dom";
import { depthText } from "./format";
import type { Mosaic, Product } from "./products";
import { readState, writeState } from "./state";
import { viewsOf, type View } from "./views";

export interface Choice {
  subject: Subject;
  depth?: string;
  mosaic: Mosaic;
  view: View;
}

const RESULT = "result";
const NO_DEPTH = "";

export class Selection {
  private readonly subject = byId<HTMLSelectElement>("subject");
  private readonly depth = byId<HTMLSelectElement>("depth");
  private readonly period = byId<HTMLSelectElement>("period");
  private readonly layer = byId<HTMLSelectElement>("layer");
  private readonly read = new Map<string, Promise<{ mosaics: Mosaic[]; note: string }>>();
  private mosaics: Mosaic[] = [];
  private turn = 0;
  /** Result of a prediction, which stands among the periods of its property. */
  private result: { subject: string; depth?: string; mosaic: Mosaic } | null = null;

  /** ``chosen`` is told each choice; ``moved`` whether the products are others than before. */
  constructor(
    private readonly catalog: Catalog,
    private readonly chosen: (choice: Choice, moved: boolean) => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {
    const react = (select: HTMLSelectElement, action: () => Promise<void>) =>
      select.addEventListener("change", () => void action().catch(this.failed));
    react(this.subject, () => this.subjectChosen());
    react(this.depth, () => this.depthChosen());
    react(this.period, () => this.periodChosen(true));
    react(this.layer, () => this.layerChosen(false));
  }

  /** Begin with what the page's address names, else with the first of each. */
  async begin(): Promise<void> {
    const options = this.catalog.subjects.map(({ key, title }) => ({ value: key, text: title }));
    const wanted = readState();
    fillSelect(this.subject, options, known(options, wanted.subject));
    await this.subjectChosen(wanted.depth, wanted.period, wanted.layer);
  }

  /** Show the result of a prediction. */
  async showResult(product: Product, subject: string): Promise<void> {
    const mosaic: Mosaic = { key: RESULT, label: "Prediction for your area", products: [product] };
    this.result = { subject, depth: product.depth, mosaic };
    this.subject.value = subject;
    await this.subjectChosen(product.depth, RESULT);
  }

  private get current(): Subject {
    return this.catalog.subjects.find((each) => each.key === this.subject.value)!;
  }

  private async subjectChosen(depth?: string, period?: string, layer?: string): Promise<void> {
    const options = this.current.collections.map((each) => depthOption(each.depth));
    if (this.result?.subject === this.subject.value && !options.some((each) => each.value === (this.result!.depth ?? NO_DEPTH))) {
      options.push(depthOption(this.result.depth));
    }
    fillSelect(this.depth, options, known(options, depth));
    this.depth.disabled = options.length < 2;
    byId("depth-field").hidden = this.current.collections[0].collection.body.id === this.subject.value && !isMap(this.current);
    await this.depthChosen(period, layer);
  }

  private async depthChosen(period?: string, layer?: string): Promise<void> {
    const turn = ++this.turn;
    const found = this.current.collections.find((each) => (each.depth ?? NO_DEPTH) === this.depth.value);
    const { mosaics, note } = found ? await this.readOnce(found.collection) : { mosaics: [], note: "" };
    if (turn !== this.turn) return;
    const own = this.result;
    const mine = own && own.subject === this.subject.value && (own.depth ?? NO_DEPTH) === this.depth.value;
    this.mosaics = mine ? [own.mosaic, ...mosaics] : mosaics;
    byId("period-note").textContent = note;
    const options = this.mosaics.map(({ key, label }) => ({ value: key, text: label }));
    const preferred = known(options, period ?? mosaics[0]?.key);
    fillSelect(this.period, options, preferred);
    this.period.disabled = options.length < 2;
    await this.periodChosen(true, layer);
  }

  private async periodChosen(moved: boolean, layer?: string): Promise<void> {
    const mosaic = this.mosaics.find((each) => each.key === this.period.value);
    if (!mosaic) return;
    const options = viewsOf(mosaic.products.at(-1)!).map(({ key, title }) => ({ value: key, text: title }));
    fillSelect(this.layer, options, known(options, layer ?? this.layer.value));
    await this.layerChosen(moved);
  }

  private async layerChosen(moved: boolean): Promise<void> {
    const mosaic = this.mosaics.find((each) => each.key === this.period.value)!;
    const view = viewsOf(mosaic.products.at(-1)!).find((each) => each.key === this.layer.value);
    if (!view) return;
    const period = mosaic.key === RESULT ? undefined : mosaic.key;
    writeState({ subject: this.subject.value, depth: this.depth.value, period, layer: view.key });
    await this.chosen({ subject: this.current, depth: this.depth.value || undefined, mosaic, view }, moved);
  }

  private readOnce(collection: Subject["collections"][number]["collection"]): Promise<{ mosaics: Mosaic[]; note: string }> {
    let found = this.read.get(collection.url);
    if (found === undefined) {
      found = readMosaics(collection);
      this.read.set(collection.url, found);
      found.catch(() => this.read.delete(collection.url));
    }
    return found;
  }
}

/** The wanted value where it is offered, else the first. */
function known(options: { value: string }[], wanted: string | undefined): string {
  return options.find((each) => each.value === wanted)?.value ?? options[0]?.value ?? "";
}

function isMap(subject: Subject): boolean {
  return subject.collections[0].collection.body.summaries?.["cup4soil:kind"]?.[0] === "soil-map";
}

/** A narrow list has no room for "not stated". */
function depthOption(depth?: string): { value: string; text: string } {
  return depth === undefined ? { value: NO_DEPTH, text: "–" } : { value: depth, text: depthText(depth) };
}
