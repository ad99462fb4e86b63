import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const bff = process.env.BFF ?? "http://127.0.0.1:3000";

export default defineConfig({
  plugins: [react()],
  server: {
    host: "localhost",
    port: Number(process.env.PORT ?? 5173),
    strictPort: true,
    // The Host must arrive as it is: the BFF answers under public_url's name only, which is this server's.
    proxy: Object.fromEntries(["/bff", "/api"].map((path) => [path, { target: bff, changeOrigin: false }])),
  },
});
