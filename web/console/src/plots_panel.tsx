// What the nodes answered, as lines on the time axis of the lanes above them, and the figures in words.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { session } from "./api";
import type { Member } from "./api";
import type { Series } from "./live";
import { exactClock } from "./parts";
import type { Chart } from "./plots";
import { words } from "./words";

type Charts = typeof import("./plots");
let loaded: Charts | null = null;

/** A node that goes just then answers nothing, and browsers remember that an address failed: another one each time. */
function useCharts(wanted: boolean): Charts | null {
  const [charts, setCharts] = useState(loaded);
  useEffect(() => {
    if (!wanted || charts) return;
    let timer = 0;
    let gone = false;
    const load = async (attempt: number) => {
      try {
        loaded = (await import(/* @vite-ignore */ attempt ? `${session.plots}?again=${attempt}` : session.plots)) as Charts;
        if (!gone) setCharts(loaded);
      } catch {
        if (!gone) timer = window.setTimeout(() => void load(attempt + 1), 1000);
      }
    };
    void load(0);
    return () => {
      gone = true;
      window.clearTimeout(timer);
    };
  }, [wanted, charts]);
  return charts;
}

/** Told apart also by those who see fewer colours; more nodes than these begin again. */
const palette = ["#1d7fa6", "#d17a22", "#5b4b8a", "#3f8f5f", "#b04a7d", "#8a7a1f"];
export const colourOf = (index: number) => palette[index % palette.length]!;
const siteColour = "#1f2a33";

const measures = ["requests", "errors", "p99"] as const;
type Measure = (typeof measures)[number];

/** The next round number above the highest value. */
function topOf(values: (number | null)[][], least: number): number {
  let highest = least;
  for (const line of values) for (const value of line) if (value !== null && value > highest) highest = value;
  const magnitude = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 3, 4, 6, 8, 10].map((step) => step * magnitude).find((step) => step >= highest) ?? highest;
}
const leastOf: Record<Measure, number> = { requests: 10, errors: 1, p99: 10 };

function Canvas({ charts, title, lines, x, values, top, label, pointed }: { charts: Charts | null; title: string; lines: string; x: number[]; values: (number | null)[][]; top: number; label: string; pointed: (at: number | null) => void }) {
  const place = useRef<HTMLSpanElement>(null);
  const chart = useRef<Chart | null>(null);
  const tell = useRef(pointed);
  tell.current = pointed;
  useEffect(() => {
    const target = place.current;
    if (!charts || !target) return;
    const made = charts.makeChart(
      target,
      lines.split(" ").map((colour) => ({ colour, width: colour === siteColour ? 2 : 1.5 })),
      "run",
      (at) => tell.current(at),
    );
    chart.current = made;
    const fit = () => made.size(target.clientWidth, target.clientHeight);
    const observer = new ResizeObserver(fit);
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [charts, lines]);
  useEffect(() => chart.current?.draw(x, values, top));
  return (
    <div class="lane plot">
      <span class="plot-name">
        <span class="plot-limit" aria-hidden="true">
          {top.toLocaleString("en")}
        </span>
        <span>{title}</span>
        <span class="plot-limit" aria-hidden="true">
          0
        </span>
      </span>
      <span class="plot-track" role="img" aria-label={label} ref={place} />
    </div>
  );
}

const figure = (value: number | null | undefined, digits: number) =>
  value === null || value === undefined ? "-" : value.toLocaleString("en", { maximumFractionDigits: value < 10 ? digits : 0 });

/**
 * `place`: where a moment lies on the axis, 0 to 100; null: not on it. `recording`: nodes tell at present, so that one
 * which does not is worth a word.
 */
export function Plots({ series, members, place, recording, axis }: { series: Series; members: Member[]; place: (ms: number) => number | null; recording: boolean; axis: ComponentChildren }) {
  const p = words.plots;
  const [pointed, setPointed] = useState<number | null>(null);
  const shown = series.moments.map((moment) => ({ moment, x: place(moment.at) })).filter((each): each is { moment: Series["moments"][number]; x: number } => each.x !== null);
  const charts = useCharts(shown.length > 1);
  const names = [...new Set([...members.map((member) => member.name), ...series.names])].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const told = names.filter((name) => shown.some(({ moment }) => moment.nodes[name]));
  if (shown.length < 2) return <>{axis}</>;
  const x = shown.map((each) => each.x);
  // The site first, below the others.
  const colours = [siteColour, ...told.map((name) => colourOf(names.indexOf(name)))].join(" ");
  const at = pointed !== null && shown[pointed] ? shown[pointed] : shown[shown.length - 1]!;
  const rows = [{ name: words.run.site, colour: siteColour, point: at.moment.site, note: "" }].concat(
    names.map((name) => {
      const member = members.find((each) => each.name === name);
      const silent = recording && shown.slice(-5).every(({ moment }) => !moment.nodes[name]);
      const note = !silent ? "" : member && member.state !== "ACTIVE" ? p.away : member && member.version !== session.version ? p.older(member.version) : p.silent;
      return { name, colour: colourOf(names.indexOf(name)), point: at.moment.nodes[name] ?? null, note: pointed === null ? note : "" };
    }),
  );
  return (
    <div class="plots">
      {measures.map((measure) => {
        const values = [shown.map(({ moment }) => moment.site?.[measure] ?? null), ...told.map((name) => shown.map(({ moment }) => moment.nodes[name]?.[measure] ?? null))];
        return <Canvas key={measure} charts={charts} title={p.titles[measure]} lines={colours} x={x} values={values} top={topOf(values, leastOf[measure])} label={p.label(p.titles[measure])} pointed={setPointed} />;
      })}
      {axis}
      <table class="figures">
        <caption>
          {pointed !== null ? p.at(exactClock(at.moment.at)) : recording ? p.newest : p.last}
          {told.length < names.length && recording && <span class="meta"> {p.siteOf(told.length, names.length)}</span>}
        </caption>
        <thead>
          <tr>
            <th scope="col">{words.nodes.name}</th>
            {measures.map((measure) => (
              <th scope="col" class="number" key={measure}>
                {p.titles[measure]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <th scope="row">
                <span class="swatch" style={{ background: row.colour }} />
                {row.name}
              </th>
              {row.note ? (
                <td colSpan={3} class="meta">
                  {row.note}
                </td>
              ) : (
                <>
                  <td class="number">{figure(row.point?.requests, 1)}</td>
                  <td class={`number ${(row.point?.errors ?? 0) > 0 ? "bad" : ""}`}>{figure(row.point?.errors, 1)}</td>
                  <td class="number">{figure(row.point?.p99, 1)}</td>
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Without a run there are no lanes: the last quarter of an hour alone. */
export function LatestPlots({ series, members }: { series: Series; members: Member[] }) {
  const end = series.moments.at(-1)?.at ?? 0;
  const start = Math.max(series.moments[0]?.at ?? 0, end - 15 * 60_000);
  return (
    <section class="panel-box" aria-labelledby="plots-heading">
      <h2 id="plots-heading">{words.plots.heading}</h2>
      {series.problem && <p class="meta">{series.problem}</p>}
      {end > start ? (
        <div class="timeline">
          <Plots
            series={series}
            members={members}
            place={(ms) => (ms < start ? null : ((ms - start) / (end - start)) * 100)}
            recording
            axis={
              <div class="axis" aria-hidden="true">
                <span>{exactClock(start)}</span>
                <span>{exactClock(end)}</span>
              </div>
            }
          />
        </div>
      ) : (
        !series.problem && <p class="meta">{words.plots.soon}</p>
      )}
    </section>
  );
}
