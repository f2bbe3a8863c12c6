import { render } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { session } from "./api";
import { AuditPage } from "./audit_page";
import { ClusteringPage } from "./clustering_page";
import { HistoryPage } from "./history_page";
import { PlanPage } from "./plan_page";
import { SettingsPage } from "./settings_page";
import "./style.css";
import "./pages.css";
import { SupportPage } from "./support_page";
import { UpgradePage } from "./upgrade_page";
import { UsersPage } from "./users_page";
import { words } from "./words";
import { nav } from "./words_nav";

/** `path`: of what is open, which may lie below the page's own. */
export interface PageProps {
  go: (to: string) => void;
  path: string;
}

const sections = [
  { title: nav.configuration, pages: [{ path: "/admin/general", title: nav.settings, Page: SettingsPage }] },
  { title: nav.people, pages: [{ path: "/admin/users", title: nav.users, Page: UsersPage }] },
  {
    title: nav.administration,
    pages: [
      { path: "/admin/clustering", title: nav.clustering, Page: ClusteringPage },
      { path: "/admin/upgrade", title: words.pages.upgrade, Page: UpgradePage },
      { path: "/admin/upgrade/plan", title: words.pages.plan, Page: PlanPage },
      { path: "/admin/upgrade/history", title: nav.history, Page: HistoryPage },
      { path: "/admin/troubleshooting", title: nav.support, Page: SupportPage },
      { path: "/admin/audit-log", title: nav.audit, Page: AuditPage },
    ],
  },
];
const pages = sections.flatMap((section) => section.pages);
const fallback = pages.find((page) => page.path === "/admin/upgrade")!;
/** The page itself, or the one with the longest address that this one lies below. */
const pageOf = (path: string) => pages.filter((page) => path === page.path || path.startsWith(`${page.path}/`)).sort((a, b) => b.path.length - a.path.length)[0] ?? fallback;
const openPath = () => location.pathname.replace(/\/$/, "");

/**
 * Going from page to page asks no node for a document: in the middle of an upgrade the one that answers may be of a
 * release that has no console.
 */
function Console() {
  const [path, setPath] = useState(openPath());
  // Where it is narrow, the list of pages is closed until somebody wants it.
  const [listed, setListed] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const here = pageOf(path);
  const go = useCallback((to: string) => {
    history.pushState(null, "", to);
    setPath(openPath());
    setListed(false);
    window.scrollTo(0, 0);
    place.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const moved = () => setPath(openPath());
    window.addEventListener("popstate", moved);
    return () => window.removeEventListener("popstate", moved);
  }, []);
  // With the page, not after it was painted: whoever hears of the heading may ask for the title.
  useLayoutEffect(() => {
    document.title = words.titleOf(here.title, session.site);
  }, [here]);
  return (
    <div class="console">
      <nav class="console-nav" aria-label={words.area}>
        <p class="console-area">{words.area}</p>
        <button type="button" class="button quiet console-toggle" aria-expanded={listed} aria-controls="console-pages" onClick={() => setListed(!listed)}>
          <span>{here.title}</span>
          <span class="hidden">{nav.open}</span>
        </button>
        <div id="console-pages" class={listed ? "console-pages" : "console-pages console-closed"}>
          {sections.map((section) => (
            <div key={section.title}>
              <p class="console-section">{section.title}</p>
              <ul>
                {section.pages.map((page) => (
                  <li key={page.path}>
                    <a
                      href={page.path}
                      aria-current={page === here ? "page" : undefined}
                      onClick={(event) => {
                        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
                        event.preventDefault();
                        go(page.path);
                      }}
                    >
                      {page.title}
                    </a>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </div>
      </nav>
      <div class="console-page" tabIndex={-1} ref={place}>
        <here.Page go={go} path={path} key={here.path} />
      </div>
    </div>
  );
}

const root = document.getElementById("console");
if (root) render(<Console />, root);
