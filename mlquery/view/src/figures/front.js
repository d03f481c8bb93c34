// The trade-off front of points with two numbers: those that no other point beats.

/**
 * Return the points that no other one beats: is as good in both numbers and better in one.
 *
 * `points`: `[{x, y}]`; `directions`: `{x: "min" | "max", y: "min" | "max"}`, what is better. The best in x comes first.
 */
export function frontOf(points, directions) {
  const sign = (side) => (directions[side] === "min" ? 1 : -1);
  const [ofX, ofY] = [sign("x"), sign("y")];
  const order = [...points].sort((a, b) => ofX * (a.x - b.x) || ofY * (a.y - b.y));
  const front = [];
  let best = Infinity;
  for (const point of order) {
    const last = front.at(-1);
    if (ofY * point.y < best || (last && last.x === point.x && last.y === point.y)) front.push(point);
    best = Math.min(best, ofY * point.y);
  }
  return front;
}
