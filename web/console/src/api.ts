// What the node answers, and how it is asked. Shapes are those of /rest/afloat/1 and /rest/zdu.
import type { Phase } from "./words";
import { words } from "./words";

export interface Member {
  id: string;
  name: string;
  host: string;
  version: string;
  build: number;
  state: string;
  leaseLive: boolean;
  tasksRunning: number;
  activeUsers: number;
  load: number;
}
export interface UpgradeTask {
  id: string;
  kind: string;
  state: string;
  done: number;
  total: number;
  attempts: number;
  error: string;
}
export interface Cluster {
  site: string;
  phase: Phase;
  message: string;
  clusterVersion?: string;
  upgradeMode?: string;
  maxBuild?: number;
  run?: number;
  members: Member[];
  tasks: UpgradeTask[];
}
export interface Step {
  seq: number;
  name: string;
  title: string;
  node: string;
  hop: number;
  back: boolean;
  started_at_ms: number;
  ended_at_ms: number;
  seconds: number;
  state: string;
  attempt: number;
  detail: string;
}
export interface Run {
  id: number;
  from: string;
  to: string;
  state: string;
  outcome: string;
  reason: string;
  actor: string;
  started_at_ms: number;
  ended_at_ms: number;
  current: string;
  message: string;
  hops: string[];
  held_since_ms: number;
  conductor?: string;
  cancel_requested: boolean;
  pause_requested: boolean;
  options?: { offline?: boolean };
  steps?: Step[];
  steps_total?: number;
  steps_done?: number;
  left_ms?: number;
  now_ms?: number;
}
export interface Check {
  id: string;
  title: string;
  result: "pass" | "warn" | "fail" | "unknown";
  found: string;
  why: string;
  action: string;
}
export interface PlannedStep {
  name: string;
  title: string;
  node: string;
  hop: number;
  expected_ms: number;
  point_of_no_return: boolean;
}
export interface Plan {
  from: string;
  to: string;
  possible: boolean;
  verdict: string;
  hops: string[];
  expected_ms: number;
  /** With downtime: for how long nobody is served. */
  offline: boolean;
  downtime_ms: number;
  checks: Check[];
  steps: PlannedStep[];
}
export interface Notes {
  from: string;
  to: string;
  acknowledged: boolean;
  notes: { version: string; kind: string; lts: boolean; date: string; text: string; acknowledged: { by: string; at: string } | null }[];
}
export interface Path {
  verdict: string;
  message: string;
  hops: { from: string; to: string; rolls: boolean; missing: boolean; why: string }[];
  missing: string[];
  notes: string[];
}
export interface Offered {
  versions: { shortName: string; isZduAvailable: boolean; upgradePath: { title: string }[] }[];
}
/** Lines of equal length over `at_ms`; null where nobody told. */
export interface SeriesLine {
  requests_per_s: (number | null)[];
  errors_per_s: (number | null)[];
  p99_ms: (number | null)[];
}
export interface SeriesAnswer {
  now_ms: number;
  every_ms: number;
  kept_ms: number;
  message: string;
  at_ms: number[];
  site: SeriesLine;
  nodes: (SeriesLine & { name: string })[];
}
export interface ByHand {
  from: string;
  /** "" where no release leads on from here. */
  to: string;
  targets: string[];
  obstacle: string;
  balancer: string;
  sign_in: string;
  script: string;
  nodes: { name: string; host: string; forward: string; back: string }[];
}

// In a mixed cluster an older node answers too, without the fields that came later. What each one means by their
// absence is said here, once, so that nobody else has to think of it.

export const shapeStep = (raw: Partial<Step>): Step => ({
  seq: 0,
  name: "",
  title: raw.name ?? "",
  node: "",
  hop: 1,
  back: false,
  started_at_ms: 0,
  ended_at_ms: 0,
  seconds: 0,
  state: "",
  attempt: 1,
  detail: "",
  ...raw,
});
export const shapeRun = (raw: Partial<Run>): Run => ({
  id: 0,
  from: "",
  to: "",
  state: "",
  outcome: "",
  reason: "",
  actor: "",
  started_at_ms: 0,
  ended_at_ms: 0,
  current: "",
  message: "",
  hops: [raw.to ?? ""],
  held_since_ms: 0,
  cancel_requested: false,
  pause_requested: false,
  ...raw,
});
export const shapeRuns = (raw: { runs?: Partial<Run>[] }) => ({ runs: (raw.runs ?? []).map(shapeRun) });
export const shapeCluster = (raw: Partial<Cluster>): Cluster => ({
  phase: "STABLE",
  message: "",
  tasks: [],
  ...raw,
  site: raw.site || session.site,
  members: (raw.members ?? []).map((member) => ({ ...member, load: member.load ?? 0 })),
});
export const shapePlan = (raw: Partial<Plan>): Plan => ({
  from: "",
  to: "",
  possible: false,
  verdict: "rolling",
  hops: [raw.to ?? ""],
  expected_ms: 0,
  offline: false,
  downtime_ms: 0,
  checks: [],
  ...raw,
  steps: (raw.steps ?? []).map((step) => ({ ...step, hop: step.hop ?? 1, point_of_no_return: step.point_of_no_return ?? false })),
});

/** `status` 0: no answer came. */
export class CallError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const root = document.getElementById("console");
export const session = {
  site: root?.dataset.site ?? "",
  csrf: root?.dataset.csrf ?? "",
  /** Of the node that sent the page. */
  version: root?.dataset.version ?? "",
  /** Where that node's script with the plots lies. */
  plots: root?.dataset.plots ?? "",
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function once<T>(method: string, path: string, body: unknown, seconds: number): Promise<T> {
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(path, {
      method,
      headers: {
        Accept: "application/json",
        ...(method === "GET" ? {} : { "X-Csrf-Token": session.csrf, "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(seconds * 1000),
      cache: "no-store",
      credentials: "same-origin",
    });
    text = await answer.text();
  } catch {
    throw new CallError(0, words.connection.lost);
  }
  let data: unknown;
  try {
    data = text ? JSON.parse(text) : {};
  } catch {
    data = {};
  }
  if (answer.ok) return data as T;
  const message = (data as { message?: string }).message ?? "";
  throw new CallError(answer.status, message || `HTTP ${answer.status}`);
}

/** Only a node of an older release has no such address, or takes its last word for the number of a run. */
const isOlderNode = (error: CallError) =>
  error.status === 405 ||
  // Before 1.3.0 a node passed nothing on.
  (error.status === 409 && error.message.startsWith("This is node ")) ||
  (error.status === 404 && error.message.startsWith("There is nothing at")) || (error.status === 400 && error.message.includes("is not the number of an upgrade run"));

const attempts = 5;

/**
 * Reading can be tried again, and is then answered by another node. In a mixed cluster an older one may not know the
 * call; the next one may.
 */
export async function get<T>(path: string, seconds = 8): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once<T>("GET", path, undefined, seconds);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      const older = isOlderNode(error);
      if (attempt === attempts && older) throw new CallError(404, words.connection.olderNode);
      if (attempt === attempts || !(older || error.status === 0 || error.status >= 500)) throw error;
      await pause(older ? 0 : 150 * attempt);
    }
  }
}

export const post = <T>(path: string, body: unknown = {}) => send<T>("POST", path, body);

/** A change is sent again only where it is known that nothing was done: 503, or a node that does not know the call. */
export async function send<T>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await once<T>(method, path, body, 20);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      const older = isOlderNode(error);
      if (attempt < attempts && (older || error.status === 503)) {
        await pause(older ? 0 : 300);
        continue;
      }
      if (older) throw new CallError(404, words.connection.olderNode);
      if (error.status === 0) throw new CallError(0, words.connection.unclear);
      throw error;
    }
  }
}
