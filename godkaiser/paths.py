"""Where the actors live. A path names an actor for life; `gateway.py` builds the tree."""

RECORDER = "/storage/recorder"
SPOOL = "/storage/spool"
RECALCULATOR = "/recalculator"
JOURNAL = "/storage/journal"
DOSES = "/storage/doses"
REGISTRAR = "/registrar"
ACTUATORS = "/safety/actuators"
SAFETY = "/safety/guard"
DEVICES = "/devices"
RULES = "/rules"
BROKER = "/link/broker"
ROUTER = "/link/router"
NOTIFIER = "/notifier"
ROLLER = "/roller"
SENSOR_WATCH = "/sensor_watch"
HOUSEKEEPER = "/housekeeper"
TIMEKEEPER = "/timekeeper"
API = "/api"
LIVE = "/live"
BROKER_ACCOUNTS = "/broker_accounts"
WEBHOOKS = "/webhooks"
WEBHOOK_KEEPER = "/webhook_keeper"
MOCKS = "/mocks"
MOCK_KEEPER = "/mock_keeper"


def device(device_id: str) -> str:
    return f"{DEVICES}/{device_id}"


def actuator(esp_id: str, gpio: int) -> str:
    return f"{ACTUATORS}/{esp_id}:{gpio}"


def webhook(webhook_id: int) -> str:
    return f"{WEBHOOKS}/{webhook_id}"


def rule(rule_id: int) -> str:
    return f"{RULES}/{rule_id}"


def mock(mock_id: str) -> str:
    return f"{MOCKS}/{mock_id}"
