"""Where the actors live. A path names an actor for life; `tree.py` builds the tree."""

CONTROL = "/control"
SERVICES = "/services"

RECORDER = "/control/storage/recorder"
SPOOL = "/control/storage/spool"
JOURNAL = "/control/storage/journal"
DOSES = "/control/storage/doses"
ACTUATORS = "/control/safety/actuators"
SAFETY = "/control/safety/guard"
STOP_INPUTS = "/control/safety/inputs"
DEVICES = "/control/devices"
RULES = "/control/rules"
BROKER = "/control/link/broker"
ROUTER = "/control/link/router"
TIMEKEEPER = "/control/timekeeper"

ACCESS = "/services/access"
ACCOUNTS = "/services/access/accounts"
SIGNING_KEYS = "/services/access/signing_keys"
IDEMPOTENCY = "/services/access/idempotency"
RECALCULATOR = "/services/recalculator"
REGISTRAR = "/services/registrar"
NOTIFIER = "/services/notifier"
RECIPIENTS = "/services/recipients"
ROLLUPS = "/services/rollups"
SENSOR_WATCH = "/services/sensor_watch"
HOUSEKEEPER = "/services/housekeeper"
API = "/services/api"
LIVE = "/services/live"
BROKER_ACCOUNTS = "/services/broker_accounts"
WEBHOOKS = "/services/webhooks"
WEBHOOK_KEEPER = "/services/webhook_keeper"
MOCKS = "/services/mocks"
MOCK_KEEPER = "/services/mock_keeper"


def device(device_id: str) -> str:
    return f"{DEVICES}/{device_id}"


def actuator(esp_id: str, gpio: int) -> str:
    return f"{ACTUATORS}/{esp_id}:{gpio}"


def webhook(webhook_id: int) -> str:
    return f"{WEBHOOKS}/{webhook_id}"


def recipient(name: str) -> str:
    return f"{RECIPIENTS}/{name}"


def rule(rule_id: int) -> str:
    return f"{RULES}/{rule_id}"


def mock(mock_id: str) -> str:
    return f"{MOCKS}/{mock_id}"
