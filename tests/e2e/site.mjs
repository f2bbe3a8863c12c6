// A whole site on this machine, as `afloat up` makes it: three nodes behind HAProxy, PostgreSQL, an agent, a conductor.
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start this with ./run test e2e`);
  return value;
}

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGINT");
});
// However this ends, so that nothing is left at work; each program ends by itself what it has started.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** Our program, which ends with us at the latest. `stop(signal)` waits until it has ended. */
export function start(program, args, env = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  running.add(child);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  ended.then(() => running.delete(child));
  const alive = () => child.exitCode === null && child.signalCode === null;
  const stop = async (signal = "SIGINT") => {
    if (alive()) child.kill(signal);
    await Promise.race([ended, pause(20_000, undefined, { ref: false })]);
    if (alive()) child.kill("SIGKILL");
  };
  return { ended, alive, stop, said: () => said };
}

export const bundles = () => ({
  program: needed("AFLOAT_PROGRAM"),
  catalogue: needed("AFLOAT_TEST_CATALOGUE"),
  from: needed("AFLOAT_TEST_FROM"),
  to: needed("AFLOAT_TEST_TO"),
});

const free = (port) =>
  new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

/** The first of `count` ports in a row that nobody uses. */
async function freePorts(count) {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const first = 20_000 + 50 * Math.floor(Math.random() * 200);
    const all = await Promise.all(Array.from({ length: count }, (_, at) => free(first + at)));
    if (all.every(Boolean)) return first;
  }
  throw new Error(`no ${count} free ports in a row between 20000 and 30000`);
}

/** As the administrator, past the browser. */
const calling = (url, password) => async (method, where, body) => {
  const answer = await fetch(url + where, {
    method,
    headers: { Authorization: `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
};

/** A single node on SQLite: enough for what readers and writers see. */
export async function startTrial() {
  const port = await freePorts(1);
  const data = await mkdtemp(path.join(tmpdir(), "afloat-e2e-"));
  const password = "trial-password";
  const url = `http://127.0.0.1:${port}`;
  const node = start(needed("AFLOAT_PROGRAM"), ["serve", "--trial", "--data", data, "--port", String(port)], { AFLOAT_ADMIN_PASSWORD: password });
  process.on("exit", () => rmSync(data, { recursive: true, force: true }));
  const stop = async () => {
    await node.stop();
    await rm(data, { recursive: true, force: true });
  };
  for (let waited = 0; !(await fetch(`${url}/health/ready`).catch(() => null))?.ok; waited += 1) {
    if (!node.alive() || waited > 300) {
      await stop();
      throw new Error(`the trial did not start:\n${node.said()}`);
    }
    await pause(100);
  }
  return { url, password, stop, call: calling(url, password) };
}

/**
 * `env`: what agent and nodes find in their environment besides ours. `firstRun`: nobody has an account yet; `setup` is
 * then the address of the page that makes the first one, which is to be admin with `password`.
 */
export async function startSite({ env = {}, firstRun = false } = {}) {
  const { program, catalogue, from } = bundles();
  const port = await freePorts(8);
  const up = start(program, ["up", "--catalogue", catalogue, "--version", from, "--base-port", String(port), ...(firstRun ? ["--first-run"] : [])], env);
  for (let waited = 0; !up.said().includes("Ctrl-C stops it all"); waited += 1) {
    if (!up.alive() || waited > 600) {
      await up.stop();
      throw new Error(`the site did not start:\n${up.said()}`);
    }
    await pause(100);
  }
  const [, setup, password] = /(http:\S+)\s+(?:sign in|set it up) as admin with ([^\s:]+)/.exec(up.said()) ?? [];
  const url = setup && new URL(setup).origin;
  return {
    url,
    setup,
    password,
    stop: () => up.stop(),
    said: up.said,
    call: calling(url, password),
  };
}
