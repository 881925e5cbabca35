"""Checks a request as a receiver does that uses the package for Python: `verify.py FILE`; see verify.mjs."""

import json
import sys

from standardwebhooks import Webhook

with open(sys.argv[1], encoding="utf-8") as file:
    request = json.load(file)
try:
    Webhook(request["secret"]).verify(request["body"], request["headers"])
    print("good")
except Exception as error:  # the package's own, whichever it is
    print(f"bad: {error}")
