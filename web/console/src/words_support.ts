import { plural } from "./words";

export const support = {
  lead: "What the site finds when it looks at itself, and what somebody needs who is to help.",
  checks: "Health checks",
  target: "Also check for an upgrade to",
  noTarget: "Health alone",
  show: "Show",
  all: (count: number) => `All ${count}`,
  filters: {
    fail: (count: number) => plural(count, "fails", "fail"),
    warn: (count: number) => plural(count, "warning", "warnings"),
    unknown: (count: number) => `${count} not known`,
    pass: (count: number) => `${count} passed`,
  },
  groups: { health: "Health of the site", upgrade: (to: string) => `Before an upgrade to ${to}` },
  nothing: "No check came out like that.",
  checkedAt: (time: string, node: string) => `Checked at ${time} by ${node}. This page asks again by itself every 15 seconds.`,
  again: "Check again",
  zip: "Support zip",
  zipLead: "One file for whoever is to help. Look into it before you send it.",
  zipHas: [
    "every check with its result",
    "nodes, upgrade tasks, and what each node and the conductor told of themselves",
    "the last five upgrade runs with their steps",
    "the newest 500 entries of the audit log",
    "site.toml as it is in force, and the last log lines of the node that answers",
  ],
  zipNot: "Not in it: passwords, tokens, secrets of the configuration, and anything that people wrote in the wiki. Host names, user names and paths are in it.",
  download: "Download the support zip",
  downloading: "Putting it together…",
  downloaded: "It is among your browser's downloads: afloat-support.zip",
  onCommandLine: "The same on the command line: `afloat check`, `afloat check --to VERSION`, `afloat support zip`, which with `--config` has the logs of all hosts too.",
};
