// `#/usage?by=model&since=7d`: which page, and what it shows. The address says all of it, so that it can
// be kept or passed on.

export function read(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { page: path || "overview", query: Object.fromEntries(new URLSearchParams(query)) };
}

export function write(page, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#/${page}${given.length === 0 ? "" : `?${new URLSearchParams(given)}`}`;
}

/** Shows something else of the same page; going back leads to the page before, not to each choice. */
export function change(changes) {
  const { page, query } = read();
  history.replaceState(null, "", write(page, { ...query, ...changes }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
