"""HTTP -> completions: an ASGI application. Knows no sockets and no flags."""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from gpt2_sampler.errors import SamplerError
from gpt2_sampler.serving.answer import Answer, LlamaAnswer
from gpt2_sampler.serving.choices import Served, Writing, check_ids
from gpt2_sampler.serving.delivery import deliver, failure
from gpt2_sampler.serving.guard import Guard
from gpt2_sampler.serving.incoming import Receive, read_json
from gpt2_sampler.serving.llama import read_llama
from gpt2_sampler.serving.page import INDEX, page_files
from gpt2_sampler.serving.reply import ClientGone, Reply, Send
from gpt2_sampler.serving.wire import Completion, Refusal, read_completion

if TYPE_CHECKING:  # needs a package that only who counts has loaded
    from gpt2_sampler.serving.metrics import Metrics

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]

OPEN = ("/health", "/")
COUNTED = ("/v1/completions", "/completion")


class App:
    """Completions by the models served, as an ASGI application."""

    def __init__(
        self,
        models: Sequence[Served],
        guard: Guard,
        *,
        choose: Callable[[str], str] | None = None,
        length: int = 128,
        max_body: int = 2 << 20,
        metrics: Metrics | None = None,
    ) -> None:
        """choose says which of several models is the one for a prompt, by its name; without it the
        first. length is how many tokens a text has whose request does not say; max_body is in
        bytes."""
        self.models = models
        self._choose = choose
        self._metrics = metrics
        self._guard = guard
        self._length = length
        self._max_body = max_body
        self._pages = page_files()
        self._calls: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/completion"): self._complete_as_llama,
            ("GET", "/v1/models"): self._list_models,
            ("POST", "/tokenize"): self._tokenize,
            ("POST", "/detokenize"): self._detokenize,
            ("GET", "/tokenizer_info"): self._describe_tokenizer,
            ("GET", "/health"): self._say_health,
            **({("GET", "/metrics"): self._say_metrics} if metrics else {}),
        }

    def close(self) -> None:
        """Ends the texts that are under way; their clients are told."""
        for served in self.models:
            served.decoder.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await follow_lifespan(receive, send)
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        reply = Reply(send, self._guard.answer_headers(headers))
        try:
            await self._route(scope["method"], scope["path"], headers, receive, reply)
        except Refusal as refusal:
            await reply.refuse(refusal)
        except (ClientGone, asyncio.TimeoutError):
            return
        except (SamplerError, MemoryError, ConnectionAbortedError) as problem:
            await reply.refuse(failure(problem))
        except Exception:
            log.exception("a request failed")
            await reply.refuse(Refusal("the server failed", status=500, kind="server_error"))
        except asyncio.CancelledError:
            if not reply.given_up:
                raise
        finally:
            reply.close()
            if self._metrics is not None and scope["path"] in COUNTED and reply.status:
                self._metrics.count_request(reply.status)

    async def _route(
        self, method: str, path: str, headers: Mapping[str, str], receive: Receive, reply: Reply
    ) -> None:
        page = INDEX if path == "/" else path.removeprefix("/page/")
        is_page = page in self._pages and path in ("/", f"/page/{page}")
        preflight = method == "OPTIONS" and "origin" in headers
        self._guard.check(headers, open=is_page or preflight or path in OPEN)
        if preflight:
            return await reply.allow()
        if is_page and method in ("GET", "HEAD"):
            return await reply.send_page(*self._pages[page])
        call = self._calls.get((method, path))
        if call is None and path.startswith("/v1/models/") and method == "GET":
            return await reply.send_json(describe(self._find(path.removeprefix("/v1/models/"))))
        if call is None:
            methods = [m for m, known in self._calls if known == path]
            if methods:
                raise Refusal(
                    f"{path} takes {', '.join(methods)}, not {method}",
                    status=405,
                    headers={"Allow": ", ".join(methods)},
                )
            raise Refusal(f"there is no {path:.80}", status=404)
        if method == "GET":
            return await call(reply)
        await call(await read_json(headers, receive, self._max_body), receive, reply)

    # What is answered.

    async def _say_health(self, reply: Reply) -> None:
        await reply.send_json({"status": "ok"})

    async def _list_models(self, reply: Reply) -> None:
        await reply.send_json({"object": "list", "data": list(map(describe, self.models))})

    async def _tokenize(self, body: Any, _: Receive, reply: Reply) -> None:
        text = body.get("prompt", body.get("content"))
        if not isinstance(text, str):
            raise Refusal("prompt must be a text", param="prompt")
        served = self._find(model_of(body), text)
        tokenizer = served.tokenizer
        # lm-eval learns the ids of the names that /tokenizer_info says from here.
        ends = (tokenizer.start_of_text, tokenizer.end_of_text)
        named = [id for id in ends if id is not None and tokenizer.decode([id]) == text]
        tokens = named[:1] or await asyncio.to_thread(tokenizer.encode, text)
        await reply.send_json(
            {"tokens": tokens, "count": len(tokens), "max_model_len": served.window}
        )

    async def _detokenize(self, body: Any, _: Receive, reply: Reply) -> None:
        served, tokens = self._find(model_of(body)), body.get("tokens")
        if not isinstance(tokens, list):
            raise Refusal("tokens must be a list of token ids", param="tokens")
        check_ids(tokens, served, "tokens")
        text = served.tokenizer.decode(tokens)
        await reply.send_json({"prompt": text, "content": text})

    async def _describe_tokenizer(self, reply: Reply) -> None:
        tokenizer = self.models[0].tokenizer

        def name(id: int | None) -> str | None:
            return None if id is None else tokenizer.decode([id])

        await reply.send_json(
            {
                "bos_token": name(tokenizer.start_of_text),
                "eos_token": name(tokenizer.end_of_text),
                "pad_token": None,
                "chat_template": None,
            }
        )

    async def _complete(self, body: Any, receive: Receive, reply: Reply) -> None:
        await self._write(read_completion(body), Answer, receive, reply)

    async def _complete_as_llama(self, body: Any, receive: Receive, reply: Reply) -> None:
        after_sampling = bool(body.get("post_sampling_probs"))
        kind = functools.partial(LlamaAnswer, after_sampling=after_sampling)
        await self._write(read_llama(body), kind, receive, reply)

    async def _say_metrics(self, reply: Reply) -> None:
        assert self._metrics is not None
        found = self._metrics.read([served.decoder for served in self.models])
        await reply.send_text(found)

    async def _write(
        self,
        asked: Completion,
        kind: Callable[[Completion, str, str, int], Answer],
        receive: Receive,
        reply: Reply,
    ) -> None:
        began = time.monotonic()
        served = self._find(asked.model, *(p for p in asked.prompts if isinstance(p, str)))
        seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
        answer = kind(asked, secrets.token_hex(12), served.name, seed)
        writing = await asyncio.to_thread(Writing, asked, served, answer, self._length)
        await deliver(writing, served.decoder, receive, reply)
        if self._metrics is not None:
            n_prompt, n_drawn = answer.prompt_tokens, answer.completion_tokens
            self._metrics.observe(began, writing.texts, n_prompt, n_drawn)

    def _find(self, name: str | None, *texts: str) -> Served:
        """The model of that name or, without one, that for the texts."""
        if name is None:
            name = self._choose("".join(texts)) if self._choose else self.models[0].name
        for served in self.models:
            if name == served.name:
                return served
        names = ", ".join(served.name for served in self.models)
        raise Refusal(
            f"there is no model {name!r:.80} here; there is {names}",
            status=404,
            param="model",
            code="model_not_found",
        )


async def follow_lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"].rpartition(".")[2]
        await send({"type": f"lifespan.{kind}.complete"})
        if kind == "shutdown":
            return


def describe(served: Served) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": "gpt2-sampler",
        "max_model_len": served.window,
    }


def model_of(body: Mapping[str, Any]) -> str | None:
    model = body.get("model")
    if not isinstance(model, str | None):
        raise Refusal("model must be a text", param="model")
    return model or None
