import importlib.util
import json
import sys

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("phi_reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
asked = json.load(sys.stdin)


def answer(value):
    try:
        return {"opened": reader.decrypt(value, asked["keys"])}
    except reader.Unreadable as error:
        return {"raised": str(error)}


print(json.dumps({"values": [answer(value) for value in asked["values"]], "hashes": reader.search_hashes(asked["normalized"], asked["keys"])}))
