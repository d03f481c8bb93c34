// Smooths curves as `Comparison.curves` does: the exponential moving average without its bias to zero.

/** Return the average of values, NaN where they are; `weight` is that of what came before, 0 for none. */
export function smoothed(values, weight) {
  if (!weight) return values;
  let [sum, total] = [0, 0];
  return Array.from(values, (value) => {
    if (Number.isNaN(value)) return NaN;
    sum = sum * weight + value;
    total = total * weight + 1;
    return sum / total;
  });
}
