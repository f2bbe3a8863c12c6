// Lines over time, on a canvas. A script of its own (vite.config.ts), loaded where there is something to draw.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  colour: string;
  /** In CSS pixels. */
  width: number;
}
export interface Chart {
  /** `x`: 0 to 100, rising; one value of each line for each of them, null where there is none. */
  draw: (x: number[], values: (number | null)[][], top: number) => void;
  size: (width: number, height: number) => void;
  destroy: () => void;
}

/** `lines` stay as they are; for others make another chart. `pointed`: at which of `x` somebody points; null: nowhere. */
export function makeChart(target: HTMLElement, lines: Line[], group: string, pointed: (at: number | null) => void): Chart {
  let top = 1;
  const grid = { stroke: "#dfe5e8", width: 1 };
  const chart = new uPlot(
    {
      width: 100,
      height: 60,
      padding: [0, 0, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: group } },
      scales: { x: { time: false, range: () => [0, 100] }, y: { range: () => [0, top] } },
      axes: [
        { show: false },
        { size: 0, gap: 0, grid, ticks: { show: false }, values: (_, splits) => splits.map(() => ""), splits: () => [0, top / 2, top] },
      ],
      series: [{}, ...lines.map((line) => ({ stroke: line.colour, width: line.width, points: { show: false } }))],
      hooks: { setCursor: [(self: uPlot) => pointed(self.cursor.idx ?? null)] },
    },
    [[], ...lines.map(() => [])],
    target,
  );
  return {
    draw: (x, values, limit) => {
      top = limit;
      chart.setData([x, ...values]);
    },
    size: (width, height) => chart.setSize({ width, height }),
    destroy: () => chart.destroy(),
  };
}
