// How far each feature is from its baseline.

import { charts, css, removeChart } from "../charts.js";
import { $, ask, el, empty, link, reportUrl, show, tag } from "../dom.js";
import { fixed, language, percent, say } from "../words.js";

const MEASURES = { psi: () => say("stability index"), ks: () => say("Kolmogorov-Smirnov distance"), quartile_shift: () => say("quartiles"), variance_ratio: () => say("variance"), skew_shift: () => say("skew") };
const SHOWN_FEATURES = 8;
let moves = [];
let allFeatures = false;

// One small picture for each feature: its distribution in the baseline beside today's, in the same bins.
function drawDrift() {
  for (const name of [...charts.keys()].filter((one) => one.startsWith("drift-"))) removeChart(name);
  if (!moves.length) {
    show("drift", empty(say("No drift figures yet"), say("They appear after the first run that compares its features with a baseline.")));
    return;
  }
  const { as_of, baseline, execution_id } = moves[0];
  const moved = moves.filter((feature) => feature.beyond.length).length;
  const places = { date: as_of.slice(0, 10), baseline, moved, all: moves.length };
  const told = moved ? say("Each feature as of {date} beside its baseline of {baseline}: {moved} of {all} have moved too far.", places) : say("Each feature as of {date} beside its baseline of {baseline}: none of {all} has moved too far.", places);
  $("drift-hint").replaceChildren(told, " ", link(say("Report"), reportUrl(execution_id, "features")));
  const shown = allFeatures ? moves : moves.slice(0, Math.max(SHOWN_FEATURES, moved));
  const pictures = shown.map((feature) => el("div", { class: "picture" }));
  show("drift",
    el("div", { class: "multiples" }, ...shown.map((feature, i) => el("figure", {},
      el("figcaption", {}, el("b", {}, feature.feature), " ", feature.beyond.length ? tag(say("moved since {date}", { date: feature.since.slice(0, 10) }), "bad") : tag(say("no drift"), "good"),
        el("span", { class: "muted" }, feature.psi === null ? "" : say("stability index {value} (limit {limit})", { value: fixed(feature.psi, 3), limit: feature.psi_limit.toLocaleString(language()) }),
          feature.beyond.length ? say("; beyond its limit: {measures}", { measures: feature.beyond.map((measure) => MEASURES[measure]?.() ?? measure).join(", ") }) : "")),
      pictures[i]))),
    shown.length < moves.length || allFeatures ? el("button", { class: "more", onclick: () => { allFeatures = !allFeatures; drawDrift(); } }, allFeatures ? say("Show fewer") : say("Show all {count}", { count: moves.length })) : null);
  if (!window.echarts) return;
  shown.forEach((feature, i) => {
    const drawn = echarts.init(pictures[i], null, { renderer: "canvas" });
    charts.set(`drift-${i}`, drawn);
    const of = (name, place, color) => ({ name, type: "bar", barGap: "0%", barCategoryGap: "20%", itemStyle: { color }, data: feature.bins.map((bin) => bin[place]) });
    drawn.setOption({
      animation: false, textStyle: { fontFamily: "inherit" },
      grid: { left: 0, right: 0, top: 4, bottom: 0 },
      tooltip: { trigger: "axis", appendTo: document.body, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--text"), fontSize: 12 }, valueFormatter: percent, renderMode: "richText" },
      xAxis: { type: "category", data: feature.bins.map((bin) => bin[0]), axisLabel: { show: false }, axisTick: { show: false }, axisLine: { lineStyle: { color: css("--line") } } },
      yAxis: { type: "value", show: false },
      series: [of(say("baseline"), 1, css("--muted")), of(say("now"), 2, feature.beyond.length ? css("--bad") : css("--accent"))],
    });
  });
}

async function loadDrift() {
  const answer = await ask("api/drift");
  if (!answer) return;
  moves = answer.features;
  drawDrift();
}

export const drift = { load: loadDrift, draw: drawDrift };
