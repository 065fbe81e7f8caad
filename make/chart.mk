# What is generated for the chart.
.PHONY: generate

generate: $(READY) ## write the CRDs, and the chart's README and values.schema.json, anew
	@$(BIN)/sealgate crd --directory charts/sealgate/crds
	@$(BIN)/python hack/chart_docs.py
