// An upgrade with downtime: all nodes down together, for what can't roll.
import type { Wishes } from "./run_wishes";

export const offlineWords = {
  needed: "This version needs downtime.",
  neededMeans:
    "It can't serve beside the one that runs now. All nodes go down together, the schema changes, and all start on the new version; until then nobody can read or write. Choose a time when few people work, and tell them.",
  wish: "With downtime, all nodes at once",
  wishHint: "Quicker, but the site is closed meanwhile. Without it, nobody notices.",
  before: "Before it is closed",
  closed: "The site is closed",
  after: "It opens again",
  stepsLead: (all: string, closed: string, backup: boolean) =>
    `About ${all} in all; the site is closed for about ${closed} of it. ` +
    (backup
      ? "That is with your backup command, which runs once nobody writes any more, for as long as it took in past runs."
      : "A backup command of the conductor comes on top: it runs once nobody writes any more, and no run of this site has had one, so how long it takes is not known."),
  blockedOlder: "the node that answered is of a release that can't plan an upgrade with downtime; the command line does: afloat upgrade run --offline",
  button: (to: string) => `Close the site and upgrade to ${to}`,
  confirmTitle: (to: string) => `Close the site and upgrade it to ${to}?`,
  effect: (closed: string, wishes: Wishes) => [
    wishes.at ? `On ${wishes.at.replace("T", " at ")} the site is closed for everybody, for about ${closed}; from a day before on every page says so.` : `The site is closed for everybody at once, for about ${closed}: nobody can read or write. Whoever is writing keeps the text in the browser.`,
    "This page waits meanwhile, and goes on by itself when the site is open again.",
    "The run finalizes by itself. Until then afloat upgrade cancel --config site.toml, on a host, opens the site on the old release again.",
  ],
  confirm: "Close the site",
  /** On Rolling upgrades. */
  next: "The site is upgraded with downtime. Wait until it is open again; this page goes on by itself.",
  pauseHint: "The run does nothing more until you resume it. Where the site is closed then, it stays closed.",
  cancelEffect: (from: string) => [`The site is opened on ${from} again: every node that was stopped starts on it.`, "What was saved before it was closed is there."],
  closedLabel: "Closed",
  closedNow: "The site is closed while its nodes are upgraded. The run below is as far as it was last known.",
  closedNext:
    "Wait: this page goes on by itself when the site is open again. On a host, `afloat upgrade status --config site.toml` tells how far it is; `afloat upgrade cancel --config site.toml` opens the site on the old release, up to finalize.",
};
