// The data of the page from the server that sent it. Its answers are described in mlquery/comparison.

const TOKEN = "mlquery.token";

/** The server wants a token that the page does not have. */
export class NeedsToken extends Error {}

/** Return the source that asks the server. */
export function liveSource() {
  const ask = (question) => async (details = {}, signal) => {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(`mlquery/page/${question}`, { method: "POST", headers, body: JSON.stringify(details), signal });
    if (response.status === 401) throw new NeedsToken();
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message ?? answer.error?.message ?? `the server answered ${response.status}`);
    return answer;
  };
  const values = ask("values");
  const run = ask("run");
  return {
    about: ask("about"),
    runs: ask("runs"),
    values: (field, signal) => values({ field }, signal),
    compare: ask("compare"),
    curves: ask("curves"),
    importance: ask("importance"),
    run: (id, signal) => run({ run_id: id }, signal),
    models: ask("models"),
    keepToken: (token) => sessionStorage.setItem(TOKEN, token),
  };
}
