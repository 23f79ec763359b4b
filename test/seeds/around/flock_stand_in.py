"""Runs Flock's documented Python without Flock: python3 flock_stand_in.py SNIPPET TASK < ARTIFACTS

TASK `options` prints the options of every component that the snippet makes; `sent` prints, for each artifact of a JSON
list, whether the snippet's own component sends a webhook; `messages` prints what its component sends for each.
"""

import asyncio
import json
import sys
from types import ModuleType, SimpleNamespace


class WebhookDeliveryComponent:
    made = []
    sent = []

    def __init__(self, **options):
        self.made.append(options)

    async def on_artifact_published(self, orchestrator, artifact):
        self.sent.append(artifact)
        return artifact


class Flock:
    def __init__(self, model):
        pass

    def add_component(self, component):
        pass


def module(name, **members):
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(members)


module("flock", Flock=Flock)
module("flock.components")
module("flock.components.orchestrator", WebhookDeliveryComponent=WebhookDeliveryComponent)

snippet, task = sys.argv[1:3]
# `json` and the base class are used in snippets that do not import them.
names = {"__name__": "snippet", "WebhookDeliveryComponent": WebhookDeliveryComponent, "json": json}
with open(snippet, encoding="utf-8") as file:
    exec(compile(file.read(), snippet, "exec"), names)

if task == "options":
    print(json.dumps(WebhookDeliveryComponent.made))
else:
    component = WebhookDeliveryComponent.__subclasses__()[0]()
    answers = []
    for artifact in json.load(sys.stdin):
        artifact = SimpleNamespace(**artifact)
        if task == "sent":
            asyncio.run(component.on_artifact_published(None, artifact))
            answers.append(artifact in WebhookDeliveryComponent.sent)
        else:
            answers.append(asyncio.run(component._build_payload(artifact)))
    print(json.dumps(answers))
