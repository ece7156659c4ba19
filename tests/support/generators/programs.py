"""Programs that use generated clients: list the models, get one, ask it, ask for one that is not there.

Each takes the API's URL and a key, and prints one JSON object, for which see `SEEN`.
"""

SEEN = {
    "models": ["tiny", "unserved"],
    "active": "v1",
    "answered_by": "v1",
    "outputs": [1.0, 1.0],
    "status": 404,
    "code": "unknown-model",
    "legal": ["tiny", "unserved"],
}

TYPESCRIPT = """import createClient from "openapi-fetch";
import type { paths, components } from "./api";

type Start = components["schemas"]["StartRolloutBody"];
export const start: Start = { strategy: { kind: "canary", weight: 500 }, candidates: ["v2"] };
// @ts-expect-error There is no such strategy.
export const wrong: Start = { strategy: { kind: "guess" } };
type Switch = paths["/api/models/{model_name}/switch"]["post"]["responses"];
type Refused = Switch[409]["content"]["application/problem+json"];
export const steps = (problem: Refused): string[] => problem.legal ?? [];
type Failed = paths["/v2/models/{model_name}/infer"]["post"]["responses"][503]["content"]["application/json"];
export const words = (failed: Failed): string => failed.error;

const [baseUrl, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { "X-API-Key": key } });
const listed = await client.GET("/api/models");
const named = (model_name: string) => ({ params: { path: { model_name } } });
const model = await client.GET("/api/models/{model_name}", named("tiny"));
const asked = await client.POST("/v2/models/{model_name}/infer", {
  ...named("tiny"),
  body: { inputs: [{ name: "x", shape: [1, 4], datatype: "FP32", data: [1, 2, 3, 4] }] },
});
const answer = asked.data;
if (typeof answer !== "object") throw new Error("raw tensors, which nobody asked for");
const missing = await client.GET("/api/models/{model_name}", named("nothing"));
console.log(JSON.stringify({
  models: listed.data?.models.map((each) => each.model_name),
  active: model.data?.active_version,
  answered_by: answer.model_version,
  outputs: answer.outputs[0].data,
  status: missing.response.status,
  code: missing.error?.code,
  legal: missing.error?.legal,
}));
"""

PYTHON = """import importlib, json, pkgutil, sys
import client
from client import AuthenticatedClient
from client.api.inference import infer
from client.api.models import get_model, list_models
from client.models import Problem, WireRequest, WireTensor, WireTensorDatatype

for module in pkgutil.walk_packages(client.__path__, "client."):
    importlib.import_module(module.name)
url, key = sys.argv[1:]
with AuthenticatedClient(url, key, prefix="", auth_header_name="X-API-Key") as api:
    listed = list_models.sync(client=api)
    model = get_model.sync("tiny", client=api)
    tensor = WireTensor(name="x", shape=[1, 4], datatype=WireTensorDatatype.FP32, data=[1.0, 2.0, 3.0, 4.0])
    asked = infer.sync("tiny", client=api, body=WireRequest(inputs=[tensor]))
    missing = get_model.sync_detailed("nothing", client=api)
    assert isinstance(missing.parsed, Problem)
print(json.dumps({
    "models": [each.model_name for each in listed.models],
    "active": model.active_version,
    "answered_by": asked.model_version,
    "outputs": asked.outputs[0].data,
    "status": int(missing.status_code),
    "code": missing.parsed.code,
    "legal": missing.parsed.legal,
}))
"""

GO = """package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"client/hotswap"
)

func must[Answer any](answer Answer, err error) Answer {
	if err != nil {
		panic(err)
	}
	return answer
}

func main() {
	configuration := hotswap.NewConfiguration()
	configuration.Servers = hotswap.ServerConfigurations{{URL: os.Args[1]}}
	key := map[string]hotswap.APIKey{"ApiKey": {Key: os.Args[2]}}
	ctx := context.WithValue(context.Background(), hotswap.ContextAPIKeys, key)
	api := hotswap.NewAPIClient(configuration)
	listed, _, err := api.ModelsAPI.ListModels(ctx).Execute()
	must(listed, err)
	model, _, err := api.ModelsAPI.GetModel(ctx, "tiny").Execute()
	must(model, err)
	tensor := hotswap.WireTensor{
		Name: "x", Shape: []int64{1, 4}, Datatype: "FP32", Data: []interface{}{1.0, 2.0, 3.0, 4.0},
	}
	body := hotswap.NewWireRequest([]hotswap.WireTensor{tensor})
	asked, _, err := api.InferenceAPI.Infer(ctx, "tiny").WireRequest(*body).Execute()
	must(asked, err)
	_, response, err := api.ModelsAPI.GetModel(ctx, "nothing").Execute()
	var refused *hotswap.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic("no error for a model that is not there")
	}
	problem := refused.Model().(hotswap.Problem)
	names := []string{}
	for _, each := range listed.Models {
		names = append(names, each.ModelName)
	}
	os.Stdout.Write(must(json.Marshal(map[string]any{
		"models": names, "active": model.GetActiveVersion(), "answered_by": asked.ModelVersion,
		"outputs": asked.Outputs[0].Data, "status": response.StatusCode, "code": problem.Code, "legal": problem.Legal,
	})))
}
"""

JAVA = """import com.google.gson.Gson;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.openapitools.client.*;
import org.openapitools.client.api.*;
import org.openapitools.client.model.*;

public class Smoke {
    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient().setBasePath(arguments[0]);
        client.setApiKey(arguments[1]);
        ModelsApi models = new ModelsApi(client);
        ModelList listed = models.listModels(null, null, null, null, null, null);
        RegistryState model = models.getModel("tiny", null, null, null, null);
        WireTensor tensor = new WireTensor()
            .name("x").shape(Arrays.asList(1L, 4L)).datatype(WireTensor.DatatypeEnum.FP32)
            .data(Arrays.asList(1.0, 2.0, 3.0, 4.0));
        WireResponse asked = new InferenceApi(client).infer("tiny", new WireRequest().addInputsItem(tensor), null);
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("models", listed.getModels().stream().map(each -> each.getModelName()).collect(Collectors.toList()));
        seen.put("active", model.getActiveVersion());
        seen.put("answered_by", asked.getModelVersion());
        seen.put("outputs", asked.getOutputs().get(0).getData());
        try {
            models.getModel("nothing", null, null, null, null);
        } catch (ApiException refused) {
            Problem problem = Problem.fromJson(refused.getResponseBody());
            seen.put("status", refused.getCode());
            seen.put("code", problem.getCode());
            seen.put("legal", problem.getLegal());
        }
        System.out.println(new Gson().toJson(seen));
        System.exit(0);
    }
}
"""

MODELINA = """import { GoGenerator, TypeScriptGenerator } from "@asyncapi/modelina";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const document = readFileSync(process.argv[2], "utf8");
const languages = [
  ["ts", new TypeScriptGenerator({ modelType: "interface" }), { exportType: "named" }],
  ["go", new GoGenerator(), { packageName: "hotswap" }],
];
for (const [name, generator, options] of languages) {
  mkdirSync(name);
  const models = await generator.generateCompleteModels(document, options);
  for (const model of models) writeFileSync(`${name}/${model.modelName}.${name}`, model.result);
}
"""
