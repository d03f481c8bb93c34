export function App() {
  return <main>mlquery</main>;
}
