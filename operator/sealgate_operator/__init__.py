"""The operator: Kopf handlers over `sealgate`.

Kopf watches, `controller.store` caches the objects, `controller.work_queue` queues them, and `controller.reconciler`
reconciles them: the pure modules of `status` compute what an object's status should say. `certificates` and `webhooks`
reconcile the webhook's certificates and rules. One replica leads at a time (`sealgate.kubernetes.lease`).
"""
