/** Making elements. Texts always go in as text, never as markup. */

type Child = Node | string | null | undefined | false;

/** An element with attributes and children; ``false``, ``null`` and ``undefined`` are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** The same for drawings. */
export function svg(
  tag: string,
  attributes: Record<string, string | number | boolean | undefined> = {},
  ...children: Child[]
): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** The element of the page with this id, which index.html has. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element #${id}`);
  return found as T;
}

/** Replace all options of a selector. */
export function fillSelect(select: HTMLSelectElement, options: { value: string; text: string }[], chosen: string): void {
  select.replaceChildren(...options.map(({ value, text }) => el("option", { value, selected: value === chosen }, text)));
  select.value = chosen;
}

/** A table of two columns: what, and how much. */
export function facts(rows: [string, string | Node][]): HTMLTableElement {
  const body = rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("table", { class: "facts" }, el("tbody", {}, ...body));
}

/** A link, when its address is one of the web; a text otherwise. */
export function link(href: string, text: string): HTMLElement {
  const url = new URL(href, document.baseURI);
  if (url.protocol !== "https:" && url.protocol !== "http:") return el("span", {}, text);
  const external = url.origin !== location.origin;
  return el("a", { href: url.href, rel: external ? "noopener noreferrer" : undefined }, text);
}

function setAttributes(element: Element, attributes: Record<string, string | number | boolean | undefined>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
}
