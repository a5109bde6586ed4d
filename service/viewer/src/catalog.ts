/** The catalog as the selectors offer it: properties, their depths, the periods of each. */
import { depthText } from "./format";
import { mosaicsOf, productOf, type Mosaic, type Product } from "./products";
import { fetchCollections, fetchItems, MOST_ITEMS, type Fetched, type StacCollection } from "./stac";

export interface Subject {
  /** Property code; the collection's id where there is none. */
  key: string;
  title: string;
  collections: { collection: Fetched<StacCollection>; depth?: string }[];
}

/** A property and depth that a model of the store predicts. */
export interface Predictable {
  property: string;
  depth?: string;
  title: string;
}

export interface Catalog {
  subjects: Subject[];
  predictable: Predictable[];
}

/** Read the catalog beside the page. */
export async function readCatalog(): Promise<Catalog> {
  const collections = await fetchCollections();
  const maps = collections.filter(({ body }) => ["soil-map", "composite"].includes(summary(body, "kind")));
  const subjects = subjectsOf(maps);
  const models = collections.filter(({ body }) => summary(body, "kind") === "model");
  const predictable = (await Promise.all(models.map((each) => modelsOf(each)))).flat();
  return { subjects, predictable: named(predictable, subjects) };
}

/** Maps of a collection by period, and a word when not all of its items were read. */
export async function readMosaics(collection: Fetched<StacCollection>): Promise<{ mosaics: Mosaic[]; note: string }> {
  const { items, more } = await fetchItems(collection);
  const products = items.map(productOf).filter((each): each is Product => each !== null);
  const note = more ? `The newest ${MOST_ITEMS} items are shown here; the STAC API has all.` : "";
  return { mosaics: mosaicsOf(products), note };
}

function subjectsOf(collections: Fetched<StacCollection>[]): Subject[] {
  const subjects = new Map<string, Subject>();
  for (const collection of collections) {
    const { body } = collection;
    const key = summary(body, "property") || body.id;
    const title = (body.title ?? body.id).replace(/(,| at) \d+(\.\d+)?-\d+(\.\d+)? cm$/, "");
    const subject = subjects.get(key) ?? { key, title, collections: [] };
    subject.collections.push({ collection, depth: summary(body, "depth") || undefined });
    subjects.set(key, subject);
  }
  // Soil maps first: they are what most readers come for.
  const rank = (subject: Subject) => (summary(subject.collections[0].collection.body, "kind") === "soil-map" ? 0 : 1);
  return [...subjects.values()].sort((a, b) => rank(a) - rank(b) || a.title.localeCompare(b.title));
}

async function modelsOf(collection: Fetched<StacCollection>): Promise<Predictable[]> {
  const { items } = await fetchItems(collection);
  return items.flatMap(({ body }) => {
    const property = body.properties["cup4soil:property"];
    const depth = body.properties["cup4soil:depth"];
    if (typeof property !== "string") return [];
    return [{ property, depth: typeof depth === "string" ? depth : undefined, title: property }];
  });
}

/** Each property and depth once, by the title that its map has. */
function named(models: Predictable[], subjects: Subject[]): Predictable[] {
  const found = new Map<string, Predictable>();
  for (const { property, depth } of models) {
    const title = subjects.find((each) => each.key === property)?.title ?? property;
    found.set(`${property} ${depth ?? ""}`, { property, depth, title: depth ? `${title}, ${depthText(depth)}` : title });
  }
  return [...found.values()];
}

function summary(collection: StacCollection, name: string): string {
  const values = collection.summaries?.[`cup4soil:${name}`];
  return typeof values?.[0] === "string" ? values[0] : "";
}
