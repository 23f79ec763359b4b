"""Stands in for AIFAI's client library: the call that its document shows, as the PUT that the document shows for it."""

import json
import os
import urllib.request


class AIFAIClient:
    def __init__(self, *_):
        self.base = os.environ["AIFAI_URL"]
        self.key = os.environ["AIFAI_KEY"]

    def update_notification_preferences(self, **preferences):
        request = urllib.request.Request(
            f"{self.base}/api/v1/notifications/preferences/",
            method="PUT",
            data=json.dumps(preferences).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            print(json.dumps({"sent": preferences, "answer": json.load(answer)}))
