// Who moves between segments.

import { charts, css, PALETTE, removeChart } from "../charts.js";
import { $, el, empty, show, table } from "../dom.js";
import { choiceAmong, choose, page } from "../state.js";
import { count, say } from "../words.js";

const DIMENSIONS = { rfm_segment: () => say("Segment"), lifecycle_stage: () => say("Stage of life"), churn_risk_band: () => say("Churn band"), rg_risk_band: () => say("Protection band") };
const PERIODS = { 1: () => say("since yesterday"), 30: () => say("since a month ago") };
const SHOWN_FLOWS = 12;
const dimension = () => choiceAmong("moved", Object.keys(DIMENSIONS), "rfm_segment");
const period = () => Number(choiceAmong("since", Object.keys(PERIODS), "1"));

const words = (segment, absent) => segment === null ? absent : segment.replaceAll("_", " ");
const before = (flow) => words(flow.from, say("new players"));
const after = (flow) => words(flow.to, say("gone"));

function choices(id, options, chosen, choose) {
  show(id, ...Object.entries(options).map(([value, text]) => el("button", { "aria-pressed": String(String(chosen) === value), onclick: () => { choose(value); drawMovements(); } }, text())));
}

function tellFlow(flow, players) {
  const places = { from: before(flow), to: after(flow), count: count(players), reason: flow.reason };
  return flow.reason ? say("{from} → {to}: {count}, mostly by {reason}", places) : say("{from} → {to}: {count}", places);
}

// The players who have moved, as a picture of flows: where they were on the left, where they are on the right.
function drawMovements() {
  choices("movement-dimension", DIMENSIONS, dimension(), (value) => choose({ moved: value }));
  choices("movement-period", PERIODS, period(), (value) => choose({ since: value }));
  const all = (page.overview.table?.movements ?? []).filter(([days, of]) => days === period() && of === dimension())
    .map(([, , from, to, players, reason]) => ({ from, to, players, reason }));
  const moved = all.filter((flow) => flow.from !== flow.to).sort((a, b) => b.players - a.players);
  const sum = (flows) => count(flows.reduce((players, flow) => players + flow.players, 0));
  removeChart("chart-movements");
  if (!moved.length) {
    show("chart-movements", empty(say("Nobody has moved"), say("The run that loads the table compares it with the earlier day, if the history has it.")));
    show("movements");
    $("movement-hint").textContent = "\u00a0";
    return;
  }
  $("movement-hint").textContent = say("{moved} players have moved {since}, {stayed} have stayed. As of {date}.", { moved: sum(moved), since: PERIODS[period()](), stayed: sum(all.filter((flow) => flow.from === flow.to)), date: page.overview.table.as_of });
  show("movements", table([say("From"), say("To"), `#${say("Players")}`, say("Mostly by")], moved.slice(0, SHOWN_FLOWS).map((flow) => [before(flow), after(flow), count(flow.players), flow.reason ?? "–"])));
  if (!window.echarts) return;
  $("chart-movements").replaceChildren();
  const drawn = echarts.init($("chart-movements"), null, { renderer: "canvas" });
  charts.set("chart-movements", drawn);
  const names = [...new Set(moved.flatMap((flow) => [flow.from, flow.to]))].sort();
  const nodes = new Map();
  const node = (segment, side, position, text) => {
    const name = `${side}:${segment}`;
    nodes.set(name, { name, itemStyle: { color: PALETTE[names.indexOf(segment) % PALETTE.length] }, label: { position, formatter: text } });
    return name;
  };
  const links = moved.map((flow) => ({ source: node(flow.from, "then", "right", before(flow)), target: node(flow.to, "now", "left", after(flow)), value: flow.players, flow }));
  drawn.setOption({
    animation: false, textStyle: { fontFamily: "inherit" },
    tooltip: { trigger: "item", confine: true, backgroundColor: css("--card"), borderColor: css("--line"), textStyle: { color: css("--text"), fontSize: 12 }, renderMode: "richText",
      formatter: ({ data, value }) => data.flow ? tellFlow(data.flow, value) : `${data.label.formatter}: ${count(value)}` },
    series: [{ type: "sankey", left: 4, right: 4, top: 6, bottom: 6, nodeWidth: 10, nodeGap: 10, draggable: false, layoutIterations: 0, emphasis: { focus: "adjacency" },
      label: { color: css("--text"), fontSize: 11 }, lineStyle: { color: "gradient", opacity: 0.35 }, data: [...nodes.values()], links }],
  });
}

export const movements = { draw: drawMovements };
