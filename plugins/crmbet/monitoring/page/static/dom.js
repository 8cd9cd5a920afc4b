// Elements of the page. Everything from data reaches them as text, never as markup.

import { page } from "./state.js";

export const $ = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const runUrl = (id, dag = page.overview.dag_id) => new URL(`../dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(id)}`, document.baseURI).href;
export const reportUrl = (id, stage) => new URL(`reports/${encodeURIComponent(id)}/${encodeURIComponent(stage)}`, document.baseURI).href;
export const runbookUrl = (anchor) => new URL(`runbook#${anchor}`, document.baseURI).href;

// The UI's frame may neither navigate the window around it nor open another; a link of the outer document may.
export function open(url, event) {
  event?.preventDefault();
  let outer = document;
  try { outer = window.parent.document; } catch { /* another origin */ }
  const anchor = outer.createElement("a");
  anchor.href = url;
  outer.body.append(anchor);
  anchor.click();
  anchor.remove();
}

export const link = (text, url) => el("a", { href: url, onclick: (event) => open(url, event) }, text);

export const table = (heads, rows) => el("table", {},
  el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col", class: head.startsWith("#") ? "number" : undefined }, head.replace("#", ""))))),
  el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, i) => el("td", { class: heads[i].startsWith("#") ? "number" : undefined, "data-head": heads[i].replace("#", "") }, cell ?? "–"))))));

export const empty = (title, text) => el("div", { class: "empty" }, el("b", {}, title), el("span", {}, text));
export const tag = (text, kind = "") => el("span", { class: `tag ${kind}` }, text);
export const show = (id, ...nodes) => $(id).replaceChildren(...nodes.filter((node) => node !== null));

// What a route of this page answers, or null.
export async function ask(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } }).catch(() => null);
  return response?.ok ? response.json() : null;
}
