"""Custom kinds of well-known projects and where their images are, so that users need not find out.

Nothing here is looked at unless a configuration names it: the kinds of projects that are not installed would only
cost reviews, and the webhook is sent only the kinds that the chart's `customKinds` list. `docs/custom-kinds.md` has
the same kinds as chart values; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds

_TEMPLATE = "spec.template.spec"

#: Kinds whose fields are known; see the documentation of each project.
READY_MADE: Final = WorkloadKinds(
    (
        WorkloadKind.custom("apps.kruise.io", "BroadcastJob", [_TEMPLATE]),
        WorkloadKind.custom("apps.kruise.io", "CloneSet", [_TEMPLATE]),
        WorkloadKind.custom("apps.kruise.io", "DaemonSet", [_TEMPLATE]),
        WorkloadKind.custom("apps.kruise.io", "StatefulSet", [_TEMPLATE]),
        WorkloadKind.custom("apps.openshift.io", "DeploymentConfig", [_TEMPLATE]),
        WorkloadKind.custom("argoproj.io", "Rollout", [_TEMPLATE]),
        WorkloadKind.custom("batch.volcano.sh", "Job", ["spec.tasks[*].template.spec"]),
        WorkloadKind.custom("keda.sh", "ScaledJob", ["spec.jobTargetRef.template.spec"]),
        WorkloadKind.custom("serving.knative.dev", "Service", [_TEMPLATE]),
        WorkloadKind.custom(
            "tekton.dev",
            "TaskRun",
            images=[
                "spec.taskSpec.steps[*].image",
                "spec.taskSpec.sidecars[*].image",
                "spec.taskSpec.stepTemplate.image",
            ],
        ),
    )
)
