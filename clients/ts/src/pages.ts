import type { CallOptions } from "@connectrpc/connect";

/**
 * Iterates over everything a list method has, asking for a page when the one before is used up. Leaving the loop
 * early asks for no more. `pageSize` of the request is the size of a page, not of the whole.
 *
 * @example
 * ```ts
 * for await (const link of pages(client.links.listLinks, { pageSize: 200 }, (page) => page.links)) {
 *   console.log(link.shortUrl);
 * }
 * ```
 *
 * @param list - A list method of the client.
 * @param request - The request of the first page; every page asks the same question.
 * @param items - Takes the items out of a page.
 * @param options - Options of each call, for example an `AbortSignal`.
 */
export async function* pages<Request extends { pageToken?: string }, Page extends { nextPageToken: string }, Item>(
  list: (request: Request, options?: CallOptions) => Promise<Page>,
  request: Request,
  items: (page: Page) => readonly Item[],
  options?: CallOptions,
): AsyncGenerator<Item, void, undefined> {
  let next = request;
  for (;;) {
    const page = await list(next, options);
    yield* items(page);
    if (page.nextPageToken === "") return;
    next = { ...request, pageToken: page.nextPageToken };
  }
}
