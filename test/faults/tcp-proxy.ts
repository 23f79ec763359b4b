import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** `passing`; `held`: what comes is kept; `void`: what comes vanishes, and neither side hears of it. */
type State = 'passing' | 'held' | 'void';
type Link = { client: Socket; server: Socket; state: State };

/** Stands between a process and its Redis, and can be all that a network can be. */
export class TcpProxy {
  /** Port of the server on 127.0.0.1, for connections from now on. */
  target: number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  /** Of new connections. */
  #state: State = 'passing';

  private constructor(target: number) {
    this.target = target;
    this.#server = createServer((client) => this.#link(client));
  }

  static async listen(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets every connection. */
  cut(): void {
    for (const link of this.#links) this.#end(link);
  }

  /** Nothing gets through, and nothing is lost, until `restore`. */
  hold(): void {
    this.#become('held');
  }

  /** What is sent vanishes, as if a cable had been pulled, until `restore`, which resets these connections. */
  swallow(): void {
    this.#become('void');
  }

  /** Connections that are dead, and whose client does not know it. */
  get abandoned(): number {
    return [...this.#links].filter(({ state }) => state === 'void').length;
  }

  /** The connections of now are dead without being told; new ones are served. */
  abandon(): void {
    for (const link of this.#links) link.state = 'void';
  }

  restore(): void {
    this.#state = 'passing';
    for (const link of this.#links) {
      if (link.state === 'void') this.#end(link); // with bytes missing it is of no use any more
      link.state = 'passing';
      link.client.resume();
      link.server.resume();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #become(state: State): void {
    this.#state = state;
    for (const link of this.#links) this.#put(link, state);
  }

  #put(link: Link, state: State): void {
    link.state = state;
    if (state !== 'held') return;
    link.client.pause();
    link.server.pause();
  }

  #link(client: Socket): void {
    const server = connect(this.target, '127.0.0.1');
    const link: Link = { client, server, state: this.#state };
    this.#links.add(link);
    client.setNoDelay(true);
    server.setNoDelay(true);
    this.#forward(link, client, server);
    this.#forward(link, server, client);
    this.#put(link, this.#state);
  }

  #forward(link: Link, from: Socket, to: Socket): void {
    from.on('data', (chunk) => {
      if (link.state !== 'void') to.write(chunk);
    });
    from.on('error', () => {}); // `close` follows
    from.on('close', () => {
      // Whoever is cut off from the other side does not hear of its end either.
      if (link.state !== 'void' || from === link.client) this.#end(link);
    });
  }

  #end(link: Link): void {
    this.#links.delete(link);
    link.client.resetAndDestroy();
    link.server.resetAndDestroy();
  }
}
