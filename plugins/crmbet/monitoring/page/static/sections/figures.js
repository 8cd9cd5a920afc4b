// Runs in figures: score, records, durations, memory, segments, churn.

import { bar, chart, css, curve } from "../charts.js";
import { inRange } from "../runs.js";
import { page } from "../state.js";
import { binary, duration, fixed, number, say, score, short } from "../words.js";

function drawFigures() {
  if (!window.echarts) return;
  const runs = inRange();
  const grades = { A: css("--good"), B: css("--good"), C: css("--warn"), D: css("--warn"), F: css("--bad") };
  chart("chart-score", runs, [curve(say("Score"), runs.map((run) => run.score === null ? null : { value: run.score, itemStyle: { color: grades[run.grade] } }), { areaStyle: { opacity: 0.08 }, symbolSize: 6, showSymbol: true, showAllSymbol: true,
    markLine: { silent: true, symbol: "none", lineStyle: { color: css("--line"), type: "dashed" }, label: { color: css("--muted"), formatter: "{b}", position: "insideEndTop" }, data: [{ name: "A", yAxis: 0.9 }, { name: "B", yAxis: 0.8 }, { name: "C", yAxis: 0.7 }, { name: "D", yAxis: 0.6 }] } })],
    { format: score, axis: (value) => fixed(value, 1), y: { min: (range) => Math.min(0.5, Math.floor(range.min * 10) / 10), max: 1 } });
  chart("chart-records", runs, [bar(say("accepted"), runs.map((run) => run.cleaned), "in"), bar(say("duplicates"), runs.map((run) => run.duplicates), "in"),
    curve(say("in quarantine"), runs.map((run) => run.quarantined), { yAxisIndex: 1, color: css("--bad") })], { right: short });
  const byTask = (place) => page.overview.tasks.map((task) => [task, runs.map((run) => run.tasks[task]?.[place] ?? null)]);
  chart("chart-duration", runs, byTask(1).map(([task, data]) => bar(task, data, "tasks")), { format: (value) => value === null || value === undefined ? "–" : `${number.format(value)} s`, axis: duration });
  const memory = byTask(2), [unit, size] = binary(Math.max(...memory.flatMap(([, data]) => data)));
  const sized = (value) => value === null || value === undefined ? "–" : `${number.format(value)} ${unit}`;
  chart("chart-memory", runs, memory.map(([task, data]) => curve(task, data.map((value) => value === null ? null : value / size))), { format: sized, axis: sized });
  const segments = [...new Set(runs.flatMap((run) => Object.keys(run.players?.segments ?? {})))].sort();
  chart("chart-segments", runs, segments.map((segment) => bar(segment.replaceAll("_", " "), runs.map((run) => run.players ? run.players.segments[segment]?.players ?? 0 : null), "segments")));
  const colors = { low: css("--good"), medium: css("--warn"), high: "#f97316", critical: css("--bad"), churned: "#475569", undefined: css("--muted") };
  chart("chart-churn", runs, [...Object.keys(colors).map((band) => bar(band === "undefined" ? say("undefined") : say("{band} risk", { band }), runs.map((run) => run.players ? run.players.churn[band] ?? 0 : null), "churn", { color: colors[band] })),
    curve(say("mean value score"), runs.map((run) => run.players?.value.mean ?? null), { yAxisIndex: 1, color: css("--accent") }),
    curve(say("AUC of last month's churn scores"), runs.map((run) => run.players?.churn_auc ?? null), { yAxisIndex: 1, color: css("--text") })], { right: (value) => fixed(value, 1) });
}

export const figures = { draw: drawFigures };
