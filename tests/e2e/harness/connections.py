"""Connection events, and what the log must say of them: the join of http-api.md, worked out once more."""
import datetime
import json
import uuid

EVENTS = "/api/v1/connection-log/events"
LOG = "/api/v1/connection-log"
EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def at(second):
    """A time `second` seconds into 2026, as the API spells it."""
    return (EPOCH + datetime.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_id():
    return str(uuid.uuid4())


class World:
    """Ids that the events of one test share."""

    def __init__(self):
        self.organization, self.owner, self.workspace = new_id(), new_id(), new_id()

    def event(self, second=0, status="connected", **changes):
        event = {
            "time": at(second), "status": status, "organization_id": self.organization, "workspace_owner_id": self.owner,
            "workspace_id": self.workspace, "workspace_name": "dev", "agent_name": "main", "type": "ssh"}
        event.update(changes)
        return event

    def session(self, connection, begin, end=None, code=None, reason=None, **changes):
        """A connect, and a disconnect if `end` is given."""
        events = [self.event(begin, connection_id=connection, **changes)]
        if end is not None:
            said = {key: value for key, value in (("code", code), ("reason", reason)) if value is not None}
            events.append(self.event(end, "disconnected", connection_id=connection, **{**changes, **said}))
        return events


def ndjson(events):
    return "\n".join(json.dumps(event) for event in events).encode()


def pages(case, client, query="", limit=100, by="after"):
    """All entries of a filter, page by page."""
    entries, place = [], None
    while True:
        path = f"{LOG}?limit={limit}" + (f"&{query}" if query else "")
        if place is not None:
            path += f"&{by}={place}"
        answer = client.get(path)
        case.assertEqual(answer.status, 200, answer)
        page = answer.json
        entries += page["connection_logs"]
        if by == "offset":
            if len(page["connection_logs"]) < limit:
                return entries
            place = len(entries)
        elif "next" not in page:
            return entries
        else:
            place = page["next"]
