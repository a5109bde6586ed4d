/** What a product is, what it is good for, whose it is, and where to read more. */
import { el, link } from "./dom";
import { askJson } from "./http";
import type { Link, Product } from "./products";
import { resolve, type StacItem } from "./stac";

/** Title, description, limits, and links of a product. */
export function aboutView(product: Product): HTMLElement[] {
  return [
    el("p", {}, el("strong", {}, product.title)),
    product.description ? el("p", {}, product.description) : null,
    product.limitations.length ? el("h3", {}, "Mind") : null,
    product.limitations.length ? list(product.limitations.map((each) => el("span", {}, each))) : null,
    el("h3", {}, "Records and reports"),
    list(product.links.map(({ href, text }) => link(href, text)), "documents"),
    product.references.length ? el("h3", {}, "Method") : null,
    product.references.length ? list(product.references.map(reference)) : null,
  ].filter((each) => each !== null);
}

/** Links of the model a map was made with: its item, its ISO record, its validation report. */
export async function modelLinks(url: string): Promise<Link[]> {
  const item = await askJson<StacItem>(url);
  const links: Link[] = [];
  const asset = (key: string, text: string) => {
    if (item.assets[key]) links.push({ href: resolve(url, item.assets[key].href), text });
  };
  asset("report", "Validation report of the model");
  links.push({ href: url, text: "STAC item of the model" });
  asset("metadata", "ISO 19115 record of the model");
  return links;
}

/** Licence and attribution, for the line below the map. */
export function creditLine(product: Product): (HTMLElement | string)[] {
  const address = licenceAddress(product.licence);
  const licence = address ? link(address, product.licence) : el("span", {}, product.licence || "no licence stated");
  return ["Licence ", licence, product.attribution ? ` · ${product.attribution}` : ""];
}

/** Add links to the list of documents of an ``aboutView``. */
export function appendLinks(view: HTMLElement, links: Link[]): void {
  const target = view.querySelector(".documents");
  target?.append(...links.map(({ href, text }) => el("li", {}, link(href, text))));
}

function reference({ href, text }: Link): HTMLElement {
  return href ? el("span", {}, `${text} `, link(href, href.replace("https://doi.org/", "doi:"))) : el("span", {}, text);
}

function list(items: HTMLElement[], name?: string): HTMLElement {
  return el("ul", { class: name }, ...items.map((each) => el("li", {}, each)));
}

function licenceAddress(licence: string): string | null {
  const creative = /^CC-(BY(?:-NC)?(?:-SA|-ND)?)-(\d\.\d)$/.exec(licence);
  if (creative) return `https://creativecommons.org/licenses/${creative[1].toLowerCase()}/${creative[2]}/`;
  return licence === "CC0-1.0" ? "https://creativecommons.org/publicdomain/zero/1.0/" : null;
}
