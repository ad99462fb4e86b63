import { useState } from "react";
import { fetch, login, logout, Problem } from "sealed-bff";
import { useSession } from "sealed-bff/react";

export function App() {
  const session = useSession();
  const [said, setSaid] = useState("");

  async function call() {
    try {
      const answer = await fetch("/api/greeting");
      setSaid(((await answer.json()) as { greeting: string }).greeting);
    } catch (problem) {
      setSaid(problem instanceof Problem ? problem.title : String(problem));
    }
  }

  if (session.status === "unknown") return <p>One moment …</p>;
  if (session.status === "signed-out") return <button onClick={() => login()}>Sign in</button>;
  return (
    <main>
      <h1>Our own page</h1>
      <p>Hi {String(session.user.claims.name)}!</p>
      <button onClick={call}>Call the API</button> <button onClick={() => logout()}>Sign out</button>
      <p role="status">{said}</p>
    </main>
  );
}
