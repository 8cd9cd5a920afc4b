// Charts over runs, and the colours of all charts.

import { $, empty, open, runUrl, show } from "./dom.js";
import { count, say, short } from "./words.js";

// The charts that are drawn, by the id of their element. A section adds its own, so that all follow the size of the page.
export const charts = new Map();

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const PALETTE = ["#3b82f6", "#14b8a6", "#f59e0b", "#8b5cf6", "#ec4899", "#64748b", "#22c55e", "#ef4444", "#06b6d4", "#a3a3a3", "#d97706", "#7c3aed"];

export function chart(id, runs, series, options = {}) {
  const failures = runs.filter((run) => run.failed.length);
  if (!series.length || (!failures.length && !series.some((one) => one.data.some((value) => value !== null)))) {
    charts.get(id)?.dispose();
    charts.delete(id);
    show(id, empty(say("Nothing to draw yet"), say("The figures come from the first run that gets this far.")));
    return;
  }
  let drawn = charts.get(id);
  if (!drawn) {
    $(id).replaceChildren();
    drawn = echarts.init($(id), null, { renderer: "canvas" });
    charts.set(id, drawn);
    drawn.on("click", (event) => open(runUrl(event.data?.failed ?? drawn.runs[event.dataIndex].id)));
  }
  drawn.runs = runs;
  const text = css("--muted"), line = css("--line");
  // On the axis of days, where they hide no figure.
  series[0].markPoint = {
    symbol: "triangle", symbolSize: 9, itemStyle: { color: css("--bad") }, label: { show: false },
    data: failures.map((run) => ({ xAxis: run.as_of, yAxis: 0, y: "88%", failed: run.failed[0].id, name: run.failed.map((one) => one.failed_task ?? one.id).join(", ") })),
    tooltip: { trigger: "item", formatter: (mark) => say("{date}: failed at {tasks}", { date: mark.data.xAxis, tasks: mark.name }) },
  };
  drawn.setOption({
    animation: false,
    color: PALETTE,
    textStyle: { fontFamily: "inherit" },
    grid: { left: 8, right: 12, top: series.length > 1 ? 34 : 12, bottom: 4, containLabel: true },
    legend: series.length > 1 ? { type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: { color: text, fontSize: 11 }, pageTextStyle: { color: text }, pageIconColor: text } : undefined,
    tooltip: { trigger: "axis", confine: true, backgroundColor: css("--card"), borderColor: line, textStyle: { color: css("--text"), fontSize: 12 }, valueFormatter: options.format ?? count, renderMode: "richText" },
    xAxis: { type: "category", data: runs.map((run) => run.as_of), axisLabel: { color: text, fontSize: 11, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
    yAxis: [{ type: "value", axisLabel: { color: text, fontSize: 11, formatter: options.axis ?? short }, splitLine: { lineStyle: { color: line } }, ...options.y },
      ...(options.right ? [{ type: "value", axisLabel: { color: text, fontSize: 11, formatter: options.right }, splitLine: { show: false }, min: 0 }] : [])],
    series,
  }, true);
}

export const bar = (name, data, stack, more = {}) => ({ name, type: "bar", stack, data, barMaxWidth: 22, ...more });
export const curve = (name, data, more = {}) => ({ name, type: "line", data, symbolSize: 6, showSymbol: data.length <= 60, connectNulls: false, lineStyle: { width: 2 }, ...more });

export function removeChart(id) {
  charts.get(id)?.dispose();
  charts.delete(id);
}
