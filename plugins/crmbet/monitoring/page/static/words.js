// Words and figures in the reader's language.

import { page } from "./state.js";

const HOUR = 3600e3;

// The sentences below are English. Those of another language come from texts/<language>, by the English sentence.
let sentences = {};
export let number;
let compact;
export const say = (sentence, places = {}) => (sentences[sentence] ?? sentence).replace(/\{(\w+)\}/g, (place, name) => places[name] ?? place);
export const language = () => document.documentElement.lang;

export async function speak(wanted) {
  sentences = {};
  if (wanted !== "en") {
    const response = await fetch(`texts/${encodeURIComponent(wanted)}`, { headers: { Accept: "application/json" } }).catch(() => null);
    if (response?.ok) sentences = await response.json();
    else wanted = "en";
  }
  document.documentElement.lang = wanted;
  number = new Intl.NumberFormat(wanted, { maximumFractionDigits: 1 });
  compact = new Intl.NumberFormat(wanted, { notation: "compact", maximumFractionDigits: 1 });
  for (const node of document.querySelectorAll("[data-say]")) {
    node.dataset.say ||= node.textContent;
    node.textContent = say(node.dataset.say);
  }
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === wanted));
}

// What a reader has chosen stays with the browser, if it may keep anything.
export function remembered() {
  try { return localStorage.getItem("crmbet-language"); } catch { return null; }
}

export function remember(chosen) {
  try { localStorage.setItem("crmbet-language", chosen); } catch { /* nothing is kept */ }
}

export const fixed = (value, digits) => value.toLocaleString(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
export const count = (value) => (value === null || value === undefined ? "–" : number.format(value));
export const short = (value) => (value === null || value === undefined ? "–" : compact.format(value));
export const percent = (share) => (share === null || share === undefined ? "–" : `${fixed(share * 100, share && share < 0.001 ? 3 : 2)}%`);
export const share = (part) => `${fixed(part * 100, 0)}%`;
// An amount in the currency of the prices. A run costs little, so it has digits that count and not two places.
export const money = (amount) => (amount === null || amount === undefined ? "–" : amount.toLocaleString(language(), { style: "currency", currency: page.overview.cost.currency, ...(Math.abs(amount) >= 0.1 || amount === 0 ? {} : { maximumSignificantDigits: 3 }) }));
export const score = (value) => (value === null || value === undefined ? "–" : fixed(value, 3));
export const binary = (largest) => (largest < 2 ** 20 ? ["KiB", 2 ** 10] : largest < 2 ** 30 ? ["MiB", 2 ** 20] : ["GiB", 2 ** 30]);
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const [unit, size] = binary(value);
  return `${number.format(value / size)} ${unit}`;
}
export const instant = (text) => new Date(text).toLocaleString(language() === "en" ? "en-GB" : language(), { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 600) return `${number.format(seconds / 60)} min`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${fixed(seconds / 3600, 1)} h`;
}

export function ago(text) {
  const hours = (new Date(page.overview.now) - new Date(text)) / HOUR;
  if (hours < 1.5) return say("{count} min ago", { count: Math.max(0, Math.round(hours * 60)) });
  return hours < 48 ? say("{count} h ago", { count: Math.round(hours) }) : say("{count} days ago", { count: Math.round(hours / 24) });
}
