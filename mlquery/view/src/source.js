// The data of the page from the server that sent it. Answers are those of mlquery.comparison.page_data.

/** Return the source that asks the server. */
export function liveSource() {
  return {};
}
